//! Curves as SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use super::curves::Curve;
use crate::docs::grouped;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (760, 380);
const CHAPERONE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const FLOOR: RGBColor = RGBColor(0x8a, 0x8a, 0x8a);

/// Draws both servers over the sizes, which grow tenfold from one to the next.
///
/// # Errors
/// When the file cannot be written, or there is nothing to draw.
pub fn draw(curve: &Curve, path: &Path) -> anyhow::Result<()> {
    let sizes: Vec<u32> = curve.points.iter().map(|(size, ..)| *size).collect();
    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else {
        return Err(anyhow!("the curve `{}` has no points", curve.name));
    };
    let floor: Vec<(u32, f64)> = curve.points.iter().map(|(size, floor, _)| (*size, *floor)).collect();
    let chaperone: Vec<(u32, f64)> = curve.points.iter().map(|(size, _, chaperone)| (*size, *chaperone)).collect();
    let highest = floor.iter().chain(&chaperone).map(|(_, us)| *us).fold(0.0, f64::max);

    // Drawn as a whole before the file is touched.
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d((first..last).log_scale(), 0.0..highest * 1.15)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(curve.what)
            .y_desc("CPU of the server for a check, µs")
            .x_label_formatter(&|size| grouped(*size))
            .y_label_formatter(&|us| format!("{us:.0}"))
            .draw()?;
        for (name, points, colour) in
            [("Chaperone", &chaperone, CHAPERONE), ("a server that does nothing", &floor, FLOOR)]
        {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE)
            .border_style(FLOOR)
            .draw()?;
        area.present()?;
    }
    std::fs::write(path, svg)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
