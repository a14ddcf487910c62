//! Windows that slide over one or two axes, for convolution and pooling.

use super::operators::Operands;
use crate::onnx::NodeError;

/// A window's way along one axis.
pub(crate) struct Axis {
    /// Values along the axis.
    pub(crate) input: usize,
    /// Taps of the window.
    pub(crate) kernel: usize,
    /// Window positions.
    pub(crate) output: usize,
    stride: usize,
    dilation: usize,
    begin: usize,
    end: usize,
}

impl Axis {
    /// An axis of length 1 that nothing slides along: it makes one dimension two.
    fn single() -> Self {
        Self { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, begin: 0, end: 0 }
    }

    /// The pairs (tap, input index) that the window at `position` reads; taps in the padding are left out.
    pub(crate) fn taps(
        &self,
        position: usize,
    ) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
        (0..self.kernel).filter_map(move |tap| {
            let padded = position * self.stride + tap * self.dilation;
            let index = padded.checked_sub(self.begin).filter(|&index| index < self.input)?;
            Some((tap, index))
        })
    }

    /// The pairs (tap, input index) that reach `position` when the input spreads its windows over the output.
    pub(crate) fn sources(
        &self,
        position: usize,
    ) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
        (0..self.kernel).filter_map(move |tap| {
            let reached = (position + self.begin).checked_sub(tap * self.dilation)?;
            let index = (reached % self.stride == 0).then_some(reached / self.stride)?;
            (index < self.input).then_some((tap, index))
        })
    }

    /// The taps of the window at `position` that read the input or its padding, not what lies beyond.
    pub(crate) fn padded_taps(&self, position: usize) -> usize {
        let padded = self.input + self.begin + self.end;
        (0..self.kernel).filter(|tap| position * self.stride + tap * self.dilation < padded).count()
    }
}

/// Reads `strides`, `pads`, `auto_pad` and `dilations` for a window of `kernel` taps over the axes `input` (one or two).
/// One axis becomes two, of which the first has length 1.
pub(crate) fn axes(
    operands: &Operands<'_>,
    input: &[usize],
    kernel: &[usize],
    ceil: bool,
) -> Result<[Axis; 2], NodeError> {
    let rank = input.len();
    let strides = lengths(operands, "strides", rank)?.unwrap_or_else(|| vec![1; rank]);
    let dilations = lengths(operands, "dilations", rank)?.unwrap_or_else(|| vec![1; rank]);
    let padding = Padding::read(operands, rank)?;
    let axis = |index: usize| -> Result<Axis, NodeError> {
        let (input, kernel) = (input[index], kernel[index]);
        let (stride, dilation) = (strides[index], dilations[index]);
        padding.place(index, input, kernel, stride, dilation, ceil).ok_or(NodeError::Shapes {
            shapes: vec![vec![input], vec![kernel], vec![dilation]],
            rule: "the window (length, taps, dilation of one axis) does not fit into the padded input",
        })
    };
    match rank {
        1 => Ok([Axis::single(), axis(0)?]),
        2 => Ok([axis(0)?, axis(1)?]),
        _ => Err(NodeError::Input { index: 0, expected: "of three axes (1D) or four (2D)" }),
    }
}

/// The same for a transposed convolution, whose output is what the windows of the input cover, less the padding.
pub(crate) fn transposed_axes(
    operands: &Operands<'_>,
    input: &[usize],
    kernel: &[usize],
) -> Result<[Axis; 2], NodeError> {
    let rank = input.len();
    let strides = lengths(operands, "strides", rank)?.unwrap_or_else(|| vec![1; rank]);
    let dilations = lengths(operands, "dilations", rank)?.unwrap_or_else(|| vec![1; rank]);
    let stated = lengths(operands, "output_shape", rank)?;
    let extra = match operands.attributes.ints("output_padding")? {
        None => vec![0; rank],
        Some(list) => sizes(list, rank, 0).ok_or_else(|| NodeError::Attribute {
            name: "output_padding",
            found: format!("{list:?}"),
            supported: "one length for each spatial axis, none negative",
        })?,
    };
    let padding = Padding::read(operands, rank)?;
    let axis = |index: usize| -> Result<Axis, NodeError> {
        let (input, kernel) = (input[index], kernel[index]);
        let (stride, dilation) = (strides[index], dilations[index]);
        let misfit = || NodeError::Shapes {
            shapes: vec![vec![input], vec![kernel], vec![dilation]],
            rule: "the padding leaves nothing of what the windows (length, taps, dilation of one axis) cover",
        };
        let covered = (input.checked_sub(1).ok_or_else(misfit)?)
            .checked_mul(stride)
            .and_then(|reach| {
                reach.checked_add((kernel - 1).checked_mul(dilation)? + 1 + extra[index])
            })
            .ok_or_else(misfit)?;
        let (begin, output) = match (&padding, &stated) {
            (Padding::Explicit(pads), None) => {
                let (begin, end) = (pads[index], pads[rank + index]);
                (begin, covered.checked_sub(begin + end).ok_or_else(misfit)?)
            }
            (Padding::Valid, None) => (0, covered),
            (padding, stated) => {
                let output = stated.as_ref().map_or(input.saturating_mul(stride), |s| s[index]);
                let total = covered.saturating_sub(output);
                let upper = matches!(padding, Padding::SameUpper);
                (if upper { total / 2 } else { total - total / 2 }, output)
            }
        };
        if output == 0 {
            return Err(misfit());
        }
        Ok(Axis { input, kernel, output, stride, dilation, begin, end: 0 })
    };
    match rank {
        1 => Ok([Axis::single(), axis(0)?]),
        2 => Ok([axis(0)?, axis(1)?]),
        _ => Err(NodeError::Input { index: 0, expected: "of three axes (1D) or four (2D)" }),
    }
}

/// A list of `rank` positive lengths.
pub(crate) fn lengths(
    operands: &Operands<'_>,
    name: &'static str,
    rank: usize,
) -> Result<Option<Vec<usize>>, NodeError> {
    let Some(list) = operands.attributes.ints(name)? else { return Ok(None) };
    sizes(list, rank, 1).map(Some).ok_or_else(|| NodeError::Attribute {
        name,
        found: format!("{list:?}"),
        supported: "one positive length for each spatial axis",
    })
}

/// Far above any sensible window, far below what could overflow.
const MAX_LENGTH: usize = 1 << 20;

fn sizes(list: &[i64], count: usize, least: usize) -> Option<Vec<usize>> {
    let sizes = list.iter().map(|&length| {
        usize::try_from(length).ok().filter(|length| (least..=MAX_LENGTH).contains(length))
    });
    sizes.collect::<Option<Vec<_>>>().filter(|sizes| sizes.len() == count)
}

/// Where the padding goes.
enum Padding {
    /// As many on each side as stated: all begins, then all ends.
    Explicit(Vec<usize>),
    Valid,
    /// As few as give `input / stride` positions, rounded up; an odd one goes to the end.
    SameUpper,
    /// The same, but an odd one goes to the beginning.
    SameLower,
}

impl Padding {
    fn read(operands: &Operands<'_>, rank: usize) -> Result<Self, NodeError> {
        let pads = match operands.attributes.ints("pads")? {
            None => vec![0; 2 * rank],
            Some(list) => sizes(list, 2 * rank, 0).ok_or_else(|| NodeError::Attribute {
                name: "pads",
                found: format!("{list:?}"),
                supported: "for each spatial axis a beginning, then for each an end, none negative",
            })?,
        };
        let padding = match operands.attributes.string("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" => return Ok(Self::Explicit(pads)),
            "VALID" => Self::Valid,
            "SAME_UPPER" => Self::SameUpper,
            "SAME_LOWER" => Self::SameLower,
            other => {
                return Err(NodeError::Attribute {
                    name: "auto_pad",
                    found: other.to_owned(),
                    supported: "NOTSET, VALID, SAME_UPPER, SAME_LOWER",
                });
            }
        };
        if pads.iter().any(|&pad| pad != 0) {
            return Err(NodeError::Attribute {
                name: "pads",
                found: "stated beside auto_pad".to_owned(),
                supported: "one of the two",
            });
        }
        Ok(padding)
    }

    /// The way along axis `index`; `None` when not even one window fits.
    fn place(
        &self,
        index: usize,
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        ceil: bool,
    ) -> Option<Axis> {
        let reach = (kernel - 1) * dilation + 1;
        let (begin, end, output) = match self {
            Self::Explicit(pads) => {
                let (begin, end) = (pads[index], pads[pads.len() / 2 + index]);
                let room = (input + begin + end).checked_sub(reach)?;
                let mut output = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
                // A window may begin in the input or the padding before it, not in the padding behind.
                if ceil && (output - 1) * stride >= input + begin {
                    output -= 1;
                }
                (begin, end, output)
            }
            Self::Valid => (0, 0, input.checked_sub(reach)? / stride + 1),
            Self::SameUpper | Self::SameLower => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride + reach).saturating_sub(input);
                let (less, more) = (total / 2, total.div_ceil(2));
                let upper = matches!(self, Self::SameUpper);
                let (begin, end) = if upper { (less, more) } else { (more, less) };
                (begin, end, output)
            }
        };
        Some(Axis { input, kernel, output, stride, dilation, begin, end })
    }
}
