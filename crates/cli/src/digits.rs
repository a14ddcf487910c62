//! Grey images as small pictures of Unicode half blocks, several beside each other with a caption below each.

/// A picture as lines of text, all of one width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    lines: Vec<String>,
    width: usize,
}

impl Picture {
    /// Draws a `height × width` image (row-major, any range). Images of more than 16 rows are halved by averaging.
    /// A character cell shows two pixels, one above the other; a pixel is drawn when it exceeds 30 % of the brightest.
    pub(crate) fn draw(pixels: &[f64], height: usize, width: usize) -> Self {
        let step = if height > 16 { 2 } else { 1 };
        let (rows, columns) = (height.div_ceil(step), width.div_ceil(step));
        let value = |r: usize, c: usize| -> f64 {
            let mut sum = 0.0;
            for y in (r * step..(r + 1) * step).filter(|&y| y < height) {
                for x in (c * step..(c + 1) * step).filter(|&x| x < width) {
                    sum += pixels.get(y * width + x).copied().unwrap_or(0.0);
                }
            }
            sum / (step * step) as f64
        };
        let mut brightest = 0.0f64;
        for r in 0..rows {
            for c in 0..columns {
                brightest = brightest.max(value(r, c));
            }
        }
        let lit = |r: usize, c: usize| r < rows && brightest > 0.0 && value(r, c) > 0.3 * brightest;
        let lines = (0..rows.div_ceil(2))
            .map(|pair| {
                (0..columns)
                    .map(|c| match (lit(2 * pair, c), lit(2 * pair + 1, c)) {
                        (false, false) => ' ',
                        (true, false) => '▀',
                        (false, true) => '▄',
                        (true, true) => '█',
                    })
                    .collect()
            })
            .collect();
        Self { lines, width: columns }
    }
}

/// Sets pictures beside each other, `per_row` in a row, each above its caption, indented by two spaces.
pub(crate) fn gallery(pictures: &[(Picture, String)], per_row: usize) -> String {
    let mut out = String::new();
    for row in pictures.chunks(per_row.max(1)) {
        let cell = |(p, caption): &(Picture, String)| p.width.max(caption.chars().count());
        let height = row.iter().map(|(p, _)| p.lines.len()).max().unwrap_or(0);
        for y in 0..=height {
            let mut line = String::from("  ");
            for item in row {
                let (picture, caption) = item;
                let text = if y == height {
                    caption.as_str()
                } else {
                    picture.lines.get(y).map_or("", String::as_str)
                };
                line.push_str(text);
                line.push_str(&" ".repeat(cell(item) - text.chars().count() + 2));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_blocks_show_two_rows_a_line() {
        let p = Picture::draw(&[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0], 4, 2);
        assert_eq!(p.lines, ["█▄", " ▄"]);
    }

    #[test]
    fn large_images_are_halved() {
        let mut pixels = vec![0.0; 28 * 28];
        for p in pixels.iter_mut().take(28 * 2) {
            *p = 255.0;
        }
        let p = Picture::draw(&pixels, 28, 28);
        assert_eq!((p.lines.len(), p.width), (7, 14));
        assert_eq!(p.lines[0], "▀".repeat(14));
        assert_eq!(p.lines[6], " ".repeat(14));
    }

    #[test]
    fn an_empty_image_draws_nothing() {
        assert_eq!(Picture::draw(&[0.0; 4], 2, 2).lines, ["  "]);
    }

    #[test]
    fn captions_stand_below_their_pictures() {
        let p = Picture::draw(&[1.0; 4], 2, 2);
        let text = gallery(&[(p.clone(), "7 ✓".into()), (p, "is 1".into())], 4);
        assert_eq!(text, "  ██   ██\n  7 ✓  is 1\n\n");
    }
}
