//! How counters are stored.

use serde::{Deserialize, Serialize};

use super::counter::{Counter, Granule, Sums, Unit};

/// As it is stored: `{"whole":12}`, or `{"decimal":[[474000,12500],[2,300]]}`, where each index but the first is the distance from the
/// one before it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stored {
    Whole(StoredSums),
    Decimal(StoredSums),
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum StoredSums {
    Life(i64),
    Granules(Vec<(i64, i64)>),
}

impl From<Counter> for Stored {
    fn from(counter: Counter) -> Self {
        let sums = match counter.sums {
            Sums::Life(sum) => StoredSums::Life(sum),
            Sums::Granules(granules) => {
                let mut before = 0;
                let delta = |granule: Granule| {
                    let distance = granule.index.saturating_sub(before);
                    before = granule.index;
                    (distance, granule.sum)
                };
                StoredSums::Granules(granules.into_iter().map(delta).collect())
            }
        };
        match counter.unit {
            Unit::Whole => Self::Whole(sums),
            Unit::Decimal => Self::Decimal(sums),
        }
    }
}

impl TryFrom<Stored> for Counter {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let (unit, sums) = match stored {
            Stored::Whole(sums) => (Unit::Whole, sums),
            Stored::Decimal(sums) => (Unit::Decimal, sums),
        };
        let sums = match sums {
            StoredSums::Life(sum) if sum < 0 => return Err("a counter holds a negative sum"),
            StoredSums::Life(sum) => Sums::Life(sum),
            StoredSums::Granules(pairs) => {
                let mut granules: Vec<Granule> = Vec::with_capacity(pairs.len());
                for (distance, sum) in pairs {
                    let index = match granules.last() {
                        Some(before) if distance > 0 => before.index.checked_add(distance),
                        Some(_) => None,
                        None => Some(distance),
                    };
                    let index = index.ok_or("a counter's granules are out of order")?;
                    if sum < 0 {
                        return Err("a counter holds a negative sum");
                    }
                    granules.push(Granule { index, sum });
                }
                Sums::Granules(granules)
            }
        };
        Ok(Self { unit, sums })
    }
}
