//! Figures: medians over rounds, under stable names.

use std::collections::BTreeMap;

use super::load::Run;

/// A figure of a run.
type Figure = fn(&Run) -> f64;

/// The runs of both servers, round by round.
#[derive(Debug, Default)]
pub struct Measured {
    rounds: Vec<(Run, Run)>,
}

impl Measured {
    /// Adds a round.
    pub fn push(&mut self, floor: Run, chaperone: Run) {
        self.rounds.push((floor, chaperone));
    }

    /// Chaperone's CPU time over the floor's, of each round.
    pub fn cpu_ratios(&self) -> Vec<f64> {
        self.rounds.iter().map(|(floor, chaperone)| chaperone.cpu_us / floor.cpu_us).collect()
    }

    /// The medians, under names of which the last part is the unit.
    pub fn record(&self, kind: &str, figures: &mut BTreeMap<String, f64>) {
        let of = |figure: Figure| {
            let floor = median(self.rounds.iter().map(|(floor, _)| figure(floor)).collect());
            let chaperone = median(self.rounds.iter().map(|(_, chaperone)| figure(chaperone)).collect());
            [("floor", floor), ("envoy_check", chaperone)]
        };
        let by_name: [(&str, Figure); 4] = [
            ("cpu_us", |run| run.cpu_us),
            ("requests_per_s", |run| run.requests_per_s),
            ("p50_us", |run| run.p50_us),
            ("p99_us", |run| run.p99_us),
        ];
        for (name, figure) in by_name {
            for (server, value) in of(figure) {
                figures.extend(value.map(|value| (format!("{server}_{kind}{name}"), rounded(value))));
            }
        }
        let ratios: [(&str, Figure); 2] = [("cpu", |run| run.cpu_us), ("p50", |run| run.p50_us)];
        for (name, figure) in ratios {
            let ratio =
                median(self.rounds.iter().map(|(floor, chaperone)| figure(chaperone) / figure(floor)).collect());
            figures.extend(ratio.map(|ratio| (format!("envoy_check_{kind}{name}_ratio"), rounded(ratio))));
        }
    }
}

/// The middle value; the mean of the two middle ones of an even number.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        Some(upper)
    } else {
        values.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
    }
}

/// Three digits after the point: more would be noise.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Prints all figures as a table.
pub fn print(figures: &BTreeMap<String, f64>) {
    let width = figures.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in figures {
        println!("{name:width$}  {value:>14.3}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn names_are_stable() {
        let run = Run { cpu_us: 2.0, requests_per_s: 1.0, p50_us: 1.0, p99_us: 1.0 };
        let mut measured = Measured::default();
        measured.push(Run { cpu_us: 1.0, ..run }, run);
        let mut figures = BTreeMap::new();
        measured.record("", &mut figures);
        assert_eq!(figures.get("envoy_check_cpu_ratio"), Some(&2.0));
        assert_eq!(figures.get("floor_cpu_us"), Some(&1.0));
    }
}
