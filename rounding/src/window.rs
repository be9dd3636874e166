//! The patches of an image that a convolution multiplies by its weights.

/// What a two-dimensional convolution sees of its input. A matrix multiplication is one with a kernel of 1 × 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps between outputs, down and across.
    pub strides: [usize; 2],
    /// Steps between the numbers under a kernel, down and across.
    pub dilations: [usize; 2],
    /// Zeros around the image: top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Window {
    /// Outputs down and across for an image of `size`, its height and width; zero if the image is too small.
    #[must_use]
    pub fn outputs(&self, size: [usize; 2]) -> [usize; 2] {
        let along = |axis: usize| {
            let reach = self.dilations[axis] * (self.kernel[axis].max(1) - 1) + 1;
            let padded = size[axis] + self.pads[axis] + self.pads[axis + 2];
            padded.checked_sub(reach).map_or(0, |spare| spare / self.strides[axis].max(1) + 1)
        };
        [along(0), along(1)]
    }

    /// The patches of `channels` channels of an image at `positions`, numbered row by row over the outputs: for each
    /// number under the kernel (channel, row, column), its values at all positions.
    #[must_use]
    pub fn patches(&self, channels: &[f32], size: [usize; 2], positions: &[usize]) -> Vec<f32> {
        let [height, width] = size;
        let (across, area) = (self.outputs(size)[1].max(1), (height * width).max(1));
        let mut patches =
            Vec::with_capacity(channels.len() / area * self.kernel[0] * self.kernel[1] * positions.len());
        for channel in channels.chunks_exact(area) {
            for (row, column) in
                (0..self.kernel[0]).flat_map(|row| (0..self.kernel[1]).map(move |column| (row, column)))
            {
                for position in positions {
                    let y = (position / across * self.strides[0] + row * self.dilations[0])
                        .checked_sub(self.pads[0]);
                    let x = (position % across * self.strides[1] + column * self.dilations[1])
                        .checked_sub(self.pads[1]);
                    let number = match (y, x) {
                        (Some(y), Some(x)) if y < height && x < width => channel[y * width + x],
                        _ => 0.0,
                    };
                    patches.push(number);
                }
            }
        }
        patches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_what_a_convolution_multiplies() {
        let window = Window { kernel: [2, 2], strides: [1, 2], dilations: [1, 1], pads: [1, 0, 0, 0] };
        let image: Vec<f32> = (1..=12).map(|number| number as f32).collect();
        assert_eq!(window.outputs([3, 4]), [3, 2]);
        // The first output is at the top left, where the upper row is padding; the last at the bottom right.
        let patches = window.patches(&image, [3, 4], &[0, 5]);
        assert_eq!(patches, [0.0, 7.0, 0.0, 8.0, 1.0, 11.0, 2.0, 12.0]);
        assert_eq!(window.outputs([0, 1]), [0, 0]);
    }
}
