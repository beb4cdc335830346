//! Figures as they are told: a table that the README can have as it is, one JSON object, a plot.

use super::plot;
use super::setting::{Setting, Spread};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::out;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

/// How figures are told.
#[derive(Debug, Clone, Args)]
pub(super) struct Telling {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Draw them in this file too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Figures that were measured together.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) setting: Setting,
    pub(super) figures: Vec<Figure>,
    /// What else was found, in words.
    pub(super) notes: Vec<String>,
}

/// One figure, beside the bound that was measured in the same run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) unit: Cow<'static, str>,
    pub(super) runs: usize,
    #[serde(flatten)]
    pub(super) measured: Spread,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bound: Option<Bound>,
    /// The figure over its bound, in each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_bound: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Target>,
}

/// What no program can pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bound {
    pub(super) what: String,
    #[serde(flatten)]
    pub(super) measured: Spread,
}

/// What is wanted of the median.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    Most(f64),
    Least(f64),
    MostOfBound(f64),
    LeastOfBound(f64),
}

impl Figure {
    /// One that was measured in each of some runs.
    pub(super) fn of(
        what: impl Into<String>,
        unit: &'static str,
        measured: impl IntoIterator<Item = f64>,
    ) -> Figure {
        let all: Vec<f64> = measured.into_iter().collect();
        let (runs, measured) = (all.len(), Spread::of(all));
        Figure {
            what: what.into(),
            unit: unit.into(),
            runs,
            measured,
            bound: None,
            of_bound: None,
            target: None,
        }
    }

    /// Beside its bound in each of these runs.
    pub(super) fn beside(
        what: impl Into<String>,
        unit: &'static str,
        runs: &[(f64, f64)],
        bound: &str,
    ) -> Figure {
        let measured = runs.iter().map(|(measured, _)| *measured);
        let bounds = Spread::of(runs.iter().map(|(_, bound)| *bound));
        let of_bound = Spread::of(runs.iter().map(|(measured, bound)| measured / bound));
        Figure {
            bound: Some(Bound { what: bound.to_owned(), measured: bounds }),
            of_bound: Some(of_bound),
            ..Figure::of(what, unit, measured)
        }
    }

    /// With what is wanted of it.
    pub(super) fn wants(self, target: Target) -> Figure {
        Figure { target: Some(target), ..self }
    }

    fn is_met(&self) -> Option<bool> {
        let (median, of_bound) = (self.measured.median, self.of_bound.map(|ratio| ratio.median));
        Some(match self.target? {
            Target::Most(most) => median <= most,
            Target::Least(least) => median >= least,
            Target::MostOfBound(most) => of_bound? <= most,
            Target::LeastOfBound(least) => of_bound? >= least,
        })
    }

    /// A row of a table.
    fn row(&self) -> [String; 5] {
        let Spread { median, min, max } = self.measured;
        let measured = match self.runs {
            0 | 1 => format!("{} {}", short(median), self.unit),
            _ => format!("{} {} ({} to {})", short(median), self.unit, short(min), short(max)),
        };
        let bound = self.bound.as_ref().zip(self.of_bound.as_ref());
        let bound = bound.map_or_else(String::new, |(bound, ratio)| {
            let (median, ratio) = (short(bound.measured.median), short(ratio.median));
            format!("{median} {}: {}; {ratio} of it", self.unit, bound.what)
        });
        let target = self.target.map_or_else(String::new, |target| match target {
            Target::Most(most) => format!("at most {} {}", short(most), self.unit),
            Target::Least(least) => format!("at least {} {}", short(least), self.unit),
            Target::MostOfBound(most) => format!("at most {} of the bound", short(most)),
            Target::LeastOfBound(least) => format!("at least {} of the bound", short(least)),
        });
        let met = self.is_met().map_or("", |is_met| if is_met { "met" } else { "missed" });
        [self.what.clone(), measured, bound, target, met.to_owned()]
    }
}

/// With three digits that count, thousands apart.
fn short(figure: f64) -> String {
    let decimals = match figure.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{figure:.decimals$}");
    let whole = text.split('.').next().unwrap_or("").len();
    let apart = |(at, c): (usize, char)| {
        let is_start = at > 0 && at < whole && (whole - at) % 3 == 0 && !text.starts_with('-');
        is_start.then_some(',').into_iter().chain([c])
    };
    text.chars().enumerate().flat_map(apart).collect()
}

impl Report {
    /// Tells it as it was asked for.
    pub(super) fn tell(&self, telling: &Telling) -> Outcome {
        if let Some(path) = &telling.svg {
            fs::write(path, plot::bars(self)).map_err(Failure::io("write", path))?;
        }
        if telling.json {
            return out::json(self);
        }
        out::line(self.setting.line())?;
        out::line("")?;
        table(&self.figures)?;
        self.notes.iter().try_for_each(|note| out::line(format_args!("\n{note}")))
    }
}

fn table(figures: &[Figure]) -> Outcome {
    let heading = ["figure", "median (least to most)", "bound in the same run", "target", ""];
    let line = |cells: &[String; 5]| out::line(format_args!("| {} |", cells.join(" | ")));
    line(&heading.map(str::to_owned))?;
    out::line("|---|---|---|---|---|")?;
    figures.iter().try_for_each(|figure| line(&figure.row()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_short_and_thousands_stand_apart() {
        let told = [0.0, 0.1234, 1.2345, 12.345, 123.45, 1234.5, 1_234_567.0].map(short);
        assert_eq!(told, ["0", "0.123", "1.23", "12.3", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_target_holds_for_the_median_or_for_its_ratio_to_the_bound() {
        let figure = Figure::beside("x", "us", &[(11.0, 10.0), (12.0, 10.0), (30.0, 10.0)], "y");
        let is_met = |target| figure.clone().wants(target).is_met();
        assert_eq!(figure.is_met(), None);
        assert_eq!(is_met(Target::Most(12.0)), Some(true));
        assert_eq!(is_met(Target::Most(11.9)), Some(false));
        assert_eq!(is_met(Target::Least(12.1)), Some(false));
        assert_eq!(is_met(Target::MostOfBound(1.2)), Some(true));
        assert_eq!(is_met(Target::LeastOfBound(1.3)), Some(false));
    }
}
