//! Drawings of measurements, as SVG.

use crate::error::CliError;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// Size of one panel in pixels.
const PANEL: (u32, u32) = (560, 360);
/// Colours that stay apart for most eyes (Okabe, Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Measured points, with a line through them or without.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) line: bool,
}

/// One chart with its axes.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// Whether both axes are logarithmic; otherwise x is, and y starts at 0.
    pub(super) log_y: bool,
    pub(super) series: Vec<Series>,
}

/// Draws the panels side by side.
pub(super) fn draw(path: &Path, panels: &[Panel]) -> Result<(), CliError> {
    let mut text = String::new();
    {
        let size = (PANEL.0 * panels.len().max(1) as u32, PANEL.1);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for (area, panel) in root.split_evenly((1, panels.len().max(1))).iter().zip(panels) {
            draw_panel(area, panel)?;
        }
        root.present().map_err(failed)?;
    }
    std::fs::write(path, text).map_err(CliError::file("write", path))
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel) -> Result<(), CliError> {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let span = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = points()
            .map(of)
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
        if low > high { (0.5, 2.0) } else { (low / 1.3, high * 1.3) }
    };
    let (x, y) = (span(|point| point.0), span(|point| point.1));
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(&panel.title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(64);
    if panel.log_y {
        let chart = builder.build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale());
        fill(chart.map_err(failed)?, panel)
    } else {
        let chart = builder.build_cartesian_2d((x.0..x.1).log_scale(), 0.0..y.1);
        fill(chart.map_err(failed)?, panel)
    }
}

fn fill<'a, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<LogCoord<f64>, Y>>,
    panel: &Panel,
) -> Result<(), CliError>
where
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(panel.x)
        .y_desc(panel.y)
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for (series, colour) in panel.series.iter().zip(COLOURS.into_iter().cycle()) {
        if series.line {
            let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line).map_err(failed)?;
        }
        let marks = series.points.iter().map(|&point| Circle::new(point, 4, colour.filled()));
        chart
            .draw_series(marks)
            .map_err(failed)?
            .label(&series.name)
            .legend(move |at| Circle::new(at, 4, colour.filled()));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(failed)
}

fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> CliError {
    CliError::part("the drawing cannot be made")(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_holds_what_was_measured() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.svg");
        let panel = |log_y| Panel {
            title: "time".into(),
            x: "images",
            y: "ms",
            log_y,
            series: vec![Series {
                name: "mlp".into(),
                points: vec![(512.0, 0.7), (1024.0, 0.72)],
                line: true,
            }],
        };
        draw(&path, &[panel(false), panel(true)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("</svg>") && text.contains("mlp") && text.contains("images"));
        // Nothing measured is no reason to fail.
        draw(&path, &[Panel { series: Vec::new(), ..panel(true) }]).unwrap();
    }
}
