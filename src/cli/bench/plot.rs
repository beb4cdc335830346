//! Figures drawn as SVG, by hand: bars with their ends and bounds, and lines over two axes whose steps
//! are factors of ten.

use super::report::{Figure, Report};
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LABELS: f64 = 420.0;
const ROW: f64 = 26.0;

/// One bar for each figure; figures of one unit share a scale. A thin line goes from the least to the
/// most that was measured, a mark stands where the bound is.
pub(super) fn bars(report: &Report) -> String {
    let height = ROW * (report.figures.len() + 2) as f64;
    let mut svg = begin(WIDTH, height);
    text(&mut svg, (8.0, 18.0), "start", &report.setting.line());
    for (at, figure) in report.figures.iter().enumerate() {
        let top = ROW * (at + 1) as f64 + 8.0;
        bar(&mut svg, figure, top, largest(&report.figures, &figure.unit));
    }
    svg + "</svg>\n"
}

fn bar(svg: &mut String, figure: &Figure, top: f64, largest: f64) {
    let room = WIDTH - LABELS - 130.0;
    let x = |value: f64| LABELS + room * (value / largest).clamp(0.0, 1.0);
    let (measured, middle) = (&figure.measured, top + ROW * 0.35);
    text(svg, (LABELS - 8.0, middle + 5.0), "end", &figure.what);
    let (width, tall) = (x(measured.median) - LABELS, ROW * 0.7);
    draw(
        svg,
        format_args!(
            "<rect x=\"{LABELS:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{tall:.1}\" fill=\"#4878a8\"/>"
        ),
    );
    line(svg, (x(measured.min), middle), (x(measured.max), middle), "#222222");
    if let Some(bound) = &figure.bound {
        let at = x(bound.measured.median);
        line(svg, (at, top - 2.0), (at, top + tall + 2.0), "#c03028");
    }
    let told = format!("{:.4} {}", measured.median, figure.unit);
    text(svg, (x(measured.median.max(measured.max)) + 6.0, middle + 5.0), "start", &told);
}

fn largest(figures: &[Figure], unit: &str) -> f64 {
    let of_unit = figures.iter().filter(|figure| figure.unit == unit);
    let all = of_unit.flat_map(|figure| {
        let bound = figure.bound.as_ref().map_or(0.0, |bound| bound.measured.max);
        [figure.measured.max, bound]
    });
    all.fold(f64::MIN_POSITIVE, f64::max)
}

/// A line of a plot.
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) colour: &'static str,
    /// It stands for something that was not measured here.
    pub(super) is_dashed: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// The edges of a plot, and where its axes end.
struct Axes {
    x: [f64; 2],
    y: [f64; 2],
}

const LEFT: f64 = 70.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 520.0;

impl Axes {
    fn around(curves: &[Curve]) -> Axes {
        let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
        let decades = |values: &mut dyn Iterator<Item = f64>| {
            let [least, most] = values
                .fold([f64::MAX, f64::MIN_POSITIVE], |[least, most], value| {
                    [least.min(value), most.max(value)]
                });
            [least.max(1e-6).log10().floor(), most.log10().ceil()]
        };
        Axes {
            x: decades(&mut points().map(|(x, _)| x)),
            y: decades(&mut points().map(|(_, y)| y)),
        }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |[first, last]: [f64; 2], value: f64| {
            (value.max(1e-6).log10() - first) / (last - first).max(1.0)
        };
        (LEFT + (RIGHT - LEFT) * part(self.x, x), BOTTOM - (BOTTOM - TOP) * part(self.y, y))
    }

    fn draw(&self, svg: &mut String) {
        for decade in decades(self.x) {
            let (x, _) = self.place((10_f64.powi(decade), 1.0));
            line(svg, (x, TOP), (x, BOTTOM), "#dddddd");
            text(svg, (x, BOTTOM + 18.0), "middle", &10_f64.powi(decade).to_string());
        }
        for decade in decades(self.y) {
            let (_, y) = self.place((1.0, 10_f64.powi(decade)));
            line(svg, (LEFT, y), (RIGHT, y), "#dddddd");
            text(svg, (LEFT - 8.0, y + 4.0), "end", &10_f64.powi(decade).to_string());
        }
    }
}

/// From the first to the last, both of which are whole.
fn decades([first, last]: [f64; 2]) -> std::ops::RangeInclusive<i32> {
    first as i32..=last as i32
}

/// Lines over two axes.
pub(super) fn curves(title: &str, [of_x, of_y]: [&str; 2], curves: &[Curve]) -> String {
    let axes = Axes::around(curves);
    let mut svg = begin(WIDTH, BOTTOM + 60.0);
    text(&mut svg, (8.0, 20.0), "start", title);
    axes.draw(&mut svg);
    text(&mut svg, ((LEFT + RIGHT) / 2.0, BOTTOM + 40.0), "middle", of_x);
    text(&mut svg, (8.0, TOP - 4.0), "start", of_y);
    for (at, curve) in curves.iter().enumerate() {
        let places: Vec<(f64, f64)> = curve.points.iter().map(|point| axes.place(*point)).collect();
        let path =
            places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
        let (colour, dash) = (curve.colour, if curve.is_dashed { "6 4" } else { "none" });
        draw(
            &mut svg,
            format_args!(
                "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-dasharray=\"{dash}\"/>"
            ),
        );
        if !curve.is_dashed {
            for (x, y) in &places {
                draw(
                    &mut svg,
                    format_args!(
                        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>"
                    ),
                );
            }
        }
        let y = TOP + 18.0 * at as f64;
        line(&mut svg, (RIGHT + 12.0, y), (RIGHT + 34.0, y), colour);
        text(&mut svg, (RIGHT + 40.0, y + 4.0), "start", &curve.name);
    }
    svg + "</svg>\n"
}

fn begin(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    draw(
        svg,
        format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
        ),
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    draw(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"),
    );
}

fn draw(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes all that is written to it.
    let _ = writeln!(svg, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_has_its_place_and_words_are_no_markup() {
        let curve =
            |points| Curve { name: "a < b".to_owned(), colour: "red", is_dashed: false, points };
        let svg = curves("t", ["x", "y"], &[curve(vec![(1.0, 1.0), (10.0, 10.0), (100.0, 100.0)])]);
        assert!(svg.contains("points=\"70.0,520.0 355.0,280.0 640.0,40.0\""), "{svg}");
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
    }
}
