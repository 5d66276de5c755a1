//! The times until the payload runs, drawn: a bar for the median, a line to the 95th percentile.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};

use crate::report::{Report, machine};
use crate::statistics::Summary;

/// Sizes in pixels.
const LEFT: f64 = 190.;
const PLOT: f64 = 520.;
const TOP: f64 = 46.;
const BAR: f64 = 13.;
const ROW: f64 = 40.;

/// Draws a report.
pub fn write(report: &Report, mut file: &File) -> Result<()> {
    let rows: Vec<Row> = report
        .entries
        .iter()
        .filter_map(|entry| {
            Some(Row {
                name: entry.contender.name(),
                rested: entry.payload.summary()?,
                hot: entry.hot.summary(),
            })
        })
        .collect();
    file.write_all(draw(&rows, &machine()).as_bytes())
        .context("cannot write the plot")
}

struct Row {
    name: String,
    rested: Summary,
    hot: Option<Summary>,
}

/// The picture. Writing to a string cannot fail.
fn draw(rows: &[Row], machine: &str) -> String {
    let longest = rows
        .iter()
        .flat_map(|row| [Some(row.rested.p95), row.hot.map(|hot| hot.p95)])
        .flatten()
        .fold(1., f64::max);
    let step = step(longest);
    let most = (longest / step).ceil() * step;
    let x = |ms: f64| LEFT + ms / most * PLOT;
    let bottom = TOP + rows.len() as f64 * ROW;
    let (width, height) = (LEFT + PLOT + 60., bottom + 58.);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">Milliseconds until the payload runs</text>\n"
    );
    let mut tick = 0.;
    while tick <= most + step / 2. {
        let at = x(tick);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            bottom + 16.
        );
        tick += step;
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + index as f64 * ROW + 5.;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.,
            y + BAR + 4.,
            escape(&row.name)
        );
        bar(&mut svg, y, row.rested, "#2a6f97", &x);
        if let Some(hot) = row.hot {
            bar(&mut svg, y + BAR + 2., hot, "#e09f3e", &x);
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\"><tspan fill=\"#2a6f97\">■</tspan> after a rest \
         <tspan fill=\"#e09f3e\">■</tspan> hot; the bar is the median, the line ends at the 95th \
         percentile</text>\n<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#666\">{}</text>\n</svg>",
        bottom + 34.,
        bottom + 50.,
        escape(machine)
    );
    svg
}

fn bar(svg: &mut String, y: f64, times: Summary, colour: &str, x: &dyn Fn(f64) -> f64) {
    let (end, far, middle) = (x(times.median), x(times.p95), y + BAR / 2.);
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
         <line x1=\"{end:.1}\" y1=\"{middle:.1}\" x2=\"{far:.1}\" y2=\"{middle:.1}\" \
         stroke=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\">{:.1}</text>",
        end - LEFT,
        far + 4.,
        middle + 3.5,
        times.median
    );
}

/// A distance of lines that gives four to ten of them.
fn step(longest: f64) -> f64 {
    let mut step = 1.;
    for factor in [2., 2.5, 2.].into_iter().cycle() {
        if longest / step <= 10. {
            break;
        }
        step *= factor;
    }
    step
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Samples;

    #[test]
    fn lines_are_at_round_numbers() {
        assert_eq!(
            [0.5, 9., 11., 44., 99., 180.].map(step),
            [1., 1., 2., 5., 10., 20.]
        );
    }

    #[test]
    fn bars_end_at_their_medians() {
        let mut samples = Samples::default();
        for ms in [5, 5, 10] {
            samples.push(std::time::Duration::from_millis(ms));
        }
        let rested = samples.summary().unwrap();
        let row = Row {
            name: "a <b>".to_owned(),
            rested,
            hot: None,
        };
        let svg = draw(&[row], "a machine");
        // Half of the axis, which ends at the slowest sample.
        assert!(
            svg.contains("width=\"260.0\"") && svg.contains("a &lt;b>"),
            "{svg}"
        );
        assert!(svg.trim_end().ends_with("</svg>"));
    }
}
