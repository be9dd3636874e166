//! The colours of boxes: one for each class, the same in every run.

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) [u8; 3]);

pub(crate) const BLACK: Colour = Colour([0, 0, 0]);
pub(crate) const WHITE: Colour = Colour([255, 255, 255]);

/// Colours that can be told apart, neighbours most easily: classes that occur together often have neighbouring numbers.
const PALETTE: [Colour; 12] = [
    Colour([255, 59, 48]),
    Colour([10, 132, 255]),
    Colour([255, 204, 0]),
    Colour([52, 199, 89]),
    Colour([191, 90, 242]),
    Colour([255, 149, 0]),
    Colour([100, 210, 255]),
    Colour([255, 45, 146]),
    Colour([155, 225, 93]),
    Colour([162, 132, 94]),
    Colour([0, 199, 190]),
    Colour([208, 208, 216]),
];

/// The colour of a class, by its number or, if it has none, by its label.
pub(crate) fn colour_of(class: Option<i64>, label: Option<&str>) -> Colour {
    let number = class.map_or_else(|| hash(label.unwrap_or_default()), i64::cast_unsigned);
    PALETTE[(number % PALETTE.len() as u64) as usize]
}

impl Colour {
    /// Black or white, whichever is easier to read on this colour.
    pub(crate) fn ink(self) -> Self {
        // Contrast as WCAG defines it: (lighter + 0.05) / (darker + 0.05).
        let luminance = self.luminance();
        if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) { BLACK } else { WHITE }
    }

    /// `#ff3b30`.
    pub(crate) fn hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Relative luminance, 0 to 1, as WCAG defines it.
    fn luminance(self) -> f64 {
        let linear = |level: u8| {
            let level = f64::from(level) / 255.0;
            if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

/// FNV-1a: unlike the standard library's, the same in every release.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_the_same_colour_everywhere() {
        assert_eq!(colour_of(Some(3), Some("car")), colour_of(Some(3), None));
        assert_eq!(colour_of(Some(0), None), colour_of(Some(12), None));
        assert_eq!(colour_of(None, Some("café")), Colour([255, 149, 0]));
        assert_eq!(colour_of(Some(-1), None), colour_of(Some(-1), Some("any")));
    }

    #[test]
    fn text_on_a_colour_can_be_read() {
        assert_eq!(WHITE.ink(), BLACK);
        assert_eq!(Colour([0, 0, 90]).ink(), WHITE);
        for colour in PALETTE {
            let (one, other) = (colour.luminance(), colour.ink().luminance());
            let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(contrast >= 4.5, "{colour:?}: {contrast}");
        }
    }
}
