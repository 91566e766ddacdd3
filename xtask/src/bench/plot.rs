//! Curves as SVG.

use anyhow::anyhow;
use plotters::prelude::*;

use super::curves::Curve;
use crate::docs::grouped;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (760, 380);
/// Its size is that of the whole line.
const FONT: (&str, u32) = ("sans-serif", 17);
const CHAPERONE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const FLOOR: RGBColor = RGBColor(0x8a, 0x8a, 0x8a);

/// Both servers over the sizes, which grow tenfold from one to the next.
///
/// # Errors
/// When there is nothing to draw.
pub fn svg(curve: &Curve) -> anyhow::Result<String> {
    let sizes: Vec<u32> = curve.points.iter().map(|(size, ..)| *size).collect();
    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else {
        return Err(anyhow!("the curve `{}` has no points", curve.name));
    };
    let floor: Vec<(u32, f64)> = curve.points.iter().map(|(size, floor, _)| (*size, *floor)).collect();
    let chaperone: Vec<(u32, f64)> = curve.points.iter().map(|(size, _, chaperone)| (*size, *chaperone)).collect();
    let highest = floor.iter().chain(&chaperone).map(|(_, us)| *us).fold(0.0, f64::max);

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
            .label_style(FONT)
            .axis_desc_style(FONT)
            .y_labels(6)
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
            .label_font(FONT)
            .background_style(WHITE)
            .border_style(FLOOR)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_servers_and_every_size_are_drawn() {
        let points = vec![(10, 20.0, 40.0), (1_000, 20.5, 41.0), (100_000, 21.0, 44.0)];
        let svg =
            svg(&Curve { name: "sessions", what: "sessions in memory", points, note: String::new() }).expect("a plot");
        for text in ["Chaperone", "a server that does nothing", "sessions in memory", "1,000", "100,000"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert!(["#1F5FA8", "#8A8A8A"].iter().all(|colour| svg.contains(colour)), "{svg}");
    }
}
