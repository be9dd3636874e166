//! The image tensor a graph takes, resolved from the graph's input and the options.
//!
//! ```text
//!  'pixel_values' float32 [batch, 3, 224, 224]
//!   name          element  │     │  └────┴── input_size, unless fixed here
//!                          │     └────────── layout: the dimension of 1 or 3; channels
//!                          └──────────────── fixed_batch
//! ```

use serde::{Deserialize, Serialize};

use super::pixels::GraphPixels;
use crate::Result;
use crate::model::onnx::{Dim, Element, Graph, Port};
use crate::model::settings::{Settings, Size, Source, keyword, keywords, size};

/// The image tensor a model takes: four dimensions, one of them the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Name of the input in the graph.
    pub name: String,
    /// Pixels from left to right, 1 to 16,384.
    pub width: u32,
    /// Pixels from top to bottom, 1 to 16,384.
    pub height: u32,
    /// Order of the dimensions.
    pub layout: Layout,
    /// Number and order of the channels.
    pub channels: Channels,
    /// Type of the numbers.
    pub element: Element,
}

keywords! {
    /// Order of an image tensor's dimensions.
    pub enum Layout {
        /// Batch, channel, row, column.
        Nchw = "NCHW",
        /// Batch, row, column, channel.
        Nhwc = "NHWC",
    }
}

keywords! {
    /// Number and order of an image tensor's channels.
    pub enum Channels {
        /// Red, green, blue.
        Rgb = "RGB",
        /// Blue, green, red, as in OpenCV.
        Bgr = "BGR",
        /// Luminance only: a greyscale image.
        L = "L",
    }
}

impl Channels {
    /// Numbers per pixel: 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::L => 1,
        }
    }
}

impl InputSpec {
    /// Resolves the options of the input.
    ///
    /// # Errors
    /// If `port` can't be an image, or an option contradicts it or is missing.
    pub(crate) fn resolve(settings: &mut Settings<'_>, graph: &Graph, port: &Port) -> Result<Self> {
        let image = Image::new(port)
            .ok_or_else(|| settings.model_error(format!("input {port} can't be an image")))?;
        let layout = image.layout(settings)?;
        let channels = image.channels(settings, graph, layout)?;
        let Size { width, height } = image.size(settings, layout)?;
        Ok(Self { name: image.port.name.clone(), width, height, layout, channels, element: image.element })
    }
}

/// The image input of a graph, if any. Integers of more than a byte are taken for pixels only if they are the only input
/// that can be an image, and either have three channels or are the only input at all: masks have the same shape.
///
/// # Errors
/// If there are several image inputs.
pub(crate) fn image_port(graph: &Graph) -> Result<Option<&Port>, String> {
    let all = graph.inputs.iter().filter_map(Image::new).collect::<Vec<_>>();
    let usual = all.iter().filter(|image| image.element.is_float() || image.element == Element::U8);
    let wide = all.iter().filter(|image| image.has_three_channels() || graph.inputs.len() == 1);
    let images: Vec<_> = if usual.clone().count() > 0 { usual.collect() } else { wide.collect() };
    let mut images = images.into_iter().map(|image| image.port);
    match (images.next(), images.next()) {
        (Some(image), Some(other)) => {
            Err(format!("takes two images, {image} and {other}; a call can give one"))
        }
        (image, _) => Ok(image),
    }
}

/// An input that can be an image: of floats, or integers that hold a byte, in 4 dimensions, one of them 1 or 3 channels.
struct Image<'a> {
    port: &'a Port,
    dims: &'a [Dim; 4],
    element: Element,
}

impl<'a> Image<'a> {
    fn new(port: &'a Port) -> Option<Self> {
        let dims = port.dims.as_deref()?.try_into().ok()?;
        let image = Self { port, dims, element: port.element()? };
        [Layout::Nchw, Layout::Nhwc].into_iter().any(|layout| image.may_be(layout)).then_some(image)
    }

    /// Returns the number of channels under `layout`, unless that dimension is dynamic.
    fn channel_count(&self, layout: Layout) -> Option<usize> {
        match layout {
            Layout::Nchw => self.dims[1].fixed(),
            Layout::Nhwc => self.dims[3].fixed(),
        }
    }

    fn has_three_channels(&self) -> bool {
        [Layout::Nchw, Layout::Nhwc].into_iter().any(|layout| self.channel_count(layout) == Some(3))
    }

    fn may_be(&self, layout: Layout) -> bool {
        self.channel_count(layout).is_none_or(|count| matches!(count, 1 | 3))
    }

    /// The layout whose channels are fixed, else the only possible one; NCHW, ONNX's own, if both are equally possible.
    fn layout(&self, settings: &mut Settings<'_>) -> Result<Layout> {
        let both = [Layout::Nchw, Layout::Nhwc];
        let possible = || both.into_iter().filter(|layout| self.may_be(*layout));
        let fixed = possible().find(|layout| self.channel_count(*layout).is_some());
        let only = possible().next().filter(|_| possible().count() == 1);
        let layout = settings.resolve_with_graph("layout", keyword, fixed.or(only), Layout::Nchw)?;
        if self.may_be(layout) { Ok(layout) } else { Err(self.contradicted(settings, "layout", &layout)) }
    }

    /// Greyscale for one channel; the order in which the graph subtracts ImageNet's mean, if it does; otherwise RGB.
    fn channels(&self, settings: &mut Settings<'_>, graph: &Graph, layout: Layout) -> Result<Channels> {
        let count = self.channel_count(layout);
        let grey = (count == Some(1)).then_some(Channels::L);
        let pixels = GraphPixels::read(graph, &self.port.name, layout, count.unwrap_or(3));
        let order = pixels.and_then(|pixels| pixels.order).filter(|_| grey.is_none());
        let channels = settings.resolve_with_graph("channels", keyword, grey.or(order), Channels::Rgb)?;
        if order.is_some() {
            settings.explain("channels", "it subtracts ImageNet's mean in this order");
        }
        if count.is_none_or(|count| count == channels.count()) {
            return Ok(channels);
        }
        Err(self.contradicted(settings, "channels", &channels))
    }

    fn size(&self, settings: &mut Settings<'_>, layout: Layout) -> Result<Size> {
        let (height, width) = match layout {
            Layout::Nchw => (self.dims[2].fixed(), self.dims[3].fixed()),
            Layout::Nhwc => (self.dims[1].fixed(), self.dims[2].fixed()),
        };
        let fits =
            |fixed: Option<usize>, side: u32| fixed.is_none_or(|fixed| u32::try_from(fixed) == Ok(side));
        match (settings.get("input_size", |value, _| size(value))?, width, height) {
            (Some((size, source)), ..) if fits(width, size.width) && fits(height, size.height) => {
                settings.note("input_size", &size, source);
                Ok(size)
            }
            (Some((size, _)), ..) => Err(self.contradicted(settings, "input_size", &size)),
            (None, Some(width), Some(height)) => {
                let size = Size::new(width, height);
                let size =
                    size.map_err(|reason| settings.model_error(format!("input {}: {reason}", self.port)))?;
                settings.note("input_size", &size, Source::Graph);
                Ok(size)
            }
            (None, ..) => {
                let reason = format!("input {} leaves it open; set it, as in input_size '224'", self.port);
                Err(settings.option_error("input_size", &reason))
            }
        }
    }

    fn contradicted(
        &self,
        settings: &Settings<'_>,
        option: &str,
        value: &impl std::fmt::Display,
    ) -> crate::Error {
        settings.option_error(option, &format!("{value} contradicts input {}", self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::ResolvedSetting;
    use crate::model::{Onnx, options};

    fn resolve_onnx(
        onnx: &Onnx,
        pairs: &[(&str, &str)],
    ) -> Result<(InputSpec, Vec<ResolvedSetting>), String> {
        let graph = Graph::read(onnx.bytes())?;
        let resolved = options(pairs).and_then(|mut settings| {
            let input = InputSpec::resolve(&mut settings, &graph, &graph.inputs[0])?;
            Ok((input, settings.into_resolved()))
        });
        resolved.map_err(|error| error.to_string())
    }

    fn resolve(shape: &str, options: &[(&str, &str)]) -> Result<InputSpec, String> {
        resolve_onnx(&Onnx::classifier(shape, 10), options).map(|(input, _)| input)
    }

    fn error(shape: &str, options: &[(&str, &str)]) -> String {
        resolve(shape, options).err().unwrap_or_default()
    }

    #[test]
    fn fixed_shape_needs_no_options() -> Result<(), String> {
        let (input, settings) = resolve_onnx(&Onnx::classifier("8,240,320,1", 10), &[])?;
        let expected = InputSpec {
            name: "pixels".to_string(),
            width: 320,
            height: 240,
            layout: Layout::Nhwc,
            channels: Channels::L,
            element: Element::F32,
        };
        assert_eq!(input, expected);
        let lines = settings.iter().map(|line| format!("{} {} {}", line.name, line.value, line.source));
        let expected = ["input_size 320x240 ONNX file", "layout NHWC ONNX file", "channels L ONNX file"];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        Ok(())
    }

    #[test]
    fn dynamic_shape_uses_the_options() -> Result<(), String> {
        let input = resolve("batch,c,h,w", &[("input_size", "320x240"), ("channels", "BGR")])?;
        assert_eq!((input.width, input.height, input.layout), (320, 240, Layout::Nchw));
        assert_eq!(input.channels, Channels::Bgr);
        let last = resolve("batch,c,h,w", &[("input_size", "9"), ("layout", "nhwc")])?;
        assert_eq!(last.layout, Layout::Nhwc);
        Ok(())
    }

    #[test]
    fn layout_is_derived_from_the_channels() -> Result<(), String> {
        let layout = |shape| resolve(shape, &[("input_size", "3")]).map(|input| input.layout);
        assert_eq!(layout("b,3,h,w")?, Layout::Nchw);
        assert_eq!(layout("b,h,w,3")?, Layout::Nhwc);
        assert_eq!(layout("b,3,3,3")?, Layout::Nchw);
        Ok(())
    }

    #[test]
    fn options_must_match_fixed_dimensions_and_set_dynamic_ones() {
        let errors = [
            error("b,3,224,224", &[("input_size", "320x240")]),
            error("b,3,h,224", &[("input_size", "320")]),
            error("b,3,224,224", &[("layout", "NHWC")]),
            error("b,3,224,224", &[("channels", "L")]),
            error("b,3,h,w", &[]),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'input_size': 320x240 contradicts input 'pixels' float32 [b, 3, 224, 224]
        model 'm': option 'input_size': 320x320 contradicts input 'pixels' float32 [b, 3, h, 224]
        model 'm': option 'layout': NHWC contradicts input 'pixels' float32 [b, 3, 224, 224]
        model 'm': option 'channels': L contradicts input 'pixels' float32 [b, 3, 224, 224]
        model 'm': option 'input_size': input 'pixels' float32 [b, 3, h, w] leaves it open; set it, as in input_size '224'
        ");
    }

    #[test]
    fn order_of_channels_is_that_of_a_mean_in_the_graph() -> Result<(), String> {
        let channels = |mean: [f32; 3], options: &[_]| {
            let onnx = Onnx::new()
                .input("pixels", "float32", "b,3,8,8")
                .constant("mean", &[3, 1, 1], &mean)
                .node("Sub", &["pixels", "mean"], "centred")
                .node("Conv", &["centred"], "y")
                .output("y", "float32", "b,10");
            resolve_onnx(&onnx, options).map(|(input, settings)| {
                let line = settings.into_iter().find(|line| line.name == "channels");
                (input.channels, line.map(|line| line.origin()).unwrap_or_default())
            })
        };
        let reason = "ONNX file: it subtracts ImageNet's mean in this order".to_owned();
        assert_eq!(channels([104.0, 117.0, 123.0], &[])?, (Channels::Bgr, reason));
        assert_eq!(channels([104.0, 117.0, 123.0], &[("channels", "RGB")])?.1, "OPTIONS");
        assert_eq!(channels([110.0, 120.0, 130.0], &[])?, (Channels::Rgb, "default".to_owned()));
        Ok(())
    }

    #[test]
    fn integers_are_pixels_unless_another_input_is_the_image() -> Result<(), String> {
        let image = |ports: &[(&str, &str)]| {
            let inputs = ports.iter().enumerate();
            let onnx = inputs.fold(Onnx::new(), |onnx, (number, (element, shape))| {
                onnx.input(&format!("x{number}"), element, shape)
            });
            let onnx = onnx.node("Gemm", &["x0"], "y").output("y", "float32", "b,2");
            let graph = Graph::read(onnx.bytes())?;
            image_port(&graph).map(|port| port.map(|port| port.name.clone()))
        };
        for element in ["uint8", "uint16", "int16", "int32", "int64"] {
            assert_eq!(image(&[(element, "b,3,8,8")])?.as_deref(), Some("x0"), "{element}");
        }
        assert_eq!(image(&[("int8", "b,3,8,8")])?, None);
        assert_eq!(image(&[("int32", "b,8,8,1")])?.as_deref(), Some("x0"));
        assert_eq!(image(&[("int64", "b,1,8,8"), ("int64", "b,8")])?, None);
        assert_eq!(image(&[("int64", "b,3,8,8"), ("float32", "b,3,8,8")])?.as_deref(), Some("x1"));
        Ok(())
    }

    #[test]
    fn too_large_sizes_are_rejected() {
        insta::assert_snapshot!(error("b,3,99999999999,224", &[]), @r"
        model 'm': input 'pixels' float32 [b, 3, 99999999999, 224]: 224x99999999999 is not from 1x1 to 16384x16384 with 67108864 pixels at most
        ");
    }
}
