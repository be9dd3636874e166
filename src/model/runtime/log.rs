//! What ONNX Runtime logs: passed on to `tracing`, or added to the error that it explains.
//!
//! For some errors ONNX Runtime's message is only that something failed, and the reason is in its log.

use std::cell::RefCell;
use std::sync::Arc;

use ort::logging::{LogLevel, LoggerFunction};

/// The least level that ONNX Runtime logs.
pub(super) const LEVEL: LogLevel = LogLevel::Error;

thread_local! {
    /// What ONNX Runtime has logged on this thread since [`with_reason`] began.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The log of the process's ONNX Runtime.
pub(super) fn logger() -> LoggerFunction {
    Arc::new(|level, _category: &str, _id: &str, _place: &str, message: &str| {
        if level < LEVEL {
            return;
        }
        let heard = HEARD.try_with(|heard| match heard.borrow_mut().as_mut() {
            Some(heard) => heard.push(message.to_owned()),
            None => tracing::error!("ONNX Runtime: {}", message.trim()),
        });
        // A thread that is ending has no place for it.
        heard.unwrap_or_default();
    })
}

/// The result of `work`, or ONNX Runtime's error with what it logged meanwhile on this thread, in one line.
pub(super) fn with_reason<T>(work: impl FnOnce() -> ort::Result<T>) -> Result<T, String> {
    HEARD.set(Some(vec![]));
    let result = work();
    let heard = HEARD.take().unwrap_or_default();
    result.map_err(|error| {
        heard.iter().map(|text| plain(text)).fold(plain(error.message()), |reason, text| {
            if reason.contains(&text) { reason } else { format!("{reason}: {text}") }
        })
    })
}

/// The last line of a message, whose lines go from effect to cause, without what only ONNX Runtime's authors need.
fn plain(message: &str) -> String {
    let last = message.lines().map(str::trim).rfind(|line| !line.is_empty());
    let mut text = last.unwrap_or_default();
    while let Some(rest) = after_status(text).or_else(|| after_place(text)) {
        text = rest.trim_start();
    }
    // A failed check starts with its condition, and a failed call of CUDA ends with where it was made.
    text = text.split_once(" was false. ").map_or(text, |(_, reason)| reason);
    text = text.split_once(" ; GPU=").map_or(text, |(reason, _)| reason);
    text.trim_end_matches('.').to_owned()
}

/// What follows a status: `[ONNXRuntimeError] : 1 : FAIL : text`.
fn after_status(text: &str) -> Option<&str> {
    text.strip_prefix("[ONNXRuntimeError] : ")?.splitn(3, " : ").nth(2)
}

/// What follows the first place in the source: `/core/graph.cc:12 void f(int)::<lambda()> text`, `graph.cc:12 f text`.
fn after_place(text: &str) -> Option<&str> {
    let words = text.split_inclusive(' ').scan(0, |end, word| {
        *end += word.len();
        Some((*end, word.trim_end()))
    });
    let file = |word: &'_ str| {
        let (file, line) = word.rsplit_once(':')?;
        let is_source = [".cc", ".h", ".cpp", ".hpp"].iter().any(|ending| file.ends_with(ending));
        (is_source && line.parse::<u32>().is_ok()).then(|| file.contains('/'))
    };
    let (end, has_folder) = words.filter_map(|(end, word)| Some((end, file(word)?))).next()?;
    let rest = &text[end..];
    if has_folder { Some(&rest[signature_end(rest)?..]) } else { Some(rest.split_once(' ')?.1) }
}

/// Where a function's signature ends: at the space after its parameters, outside all brackets.
fn signature_end(text: &str) -> Option<usize> {
    let (mut depth, mut has_parameters) = (0_usize, false);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '<' | '[' | '{' => depth += 1,
            ')' | '>' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                has_parameters |= character == ')';
            }
            // C++ of templates: f(T) [with T = int].
            ' ' if depth == 0 && has_parameters && !text[at..].starts_with(" [with ") => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_their_places_in_the_source() {
        let option = "/onnxruntime/core/providers/openvino/openvino_provider_factory.cc:232 \
                      onnxruntime::openvino_ep::ParseProviderInfo(const onnxruntime::ProviderOptions&, const \
                      onnxruntime::ConfigOptions*, ProviderInfo&)::<lambda()> Invalid provider_option key: nonsense\n";
        assert_eq!(plain(option), "Invalid provider_option key: nonsense");
        let adapter = "/src/webgpu_context.cc:65 onnxruntime::webgpu::WebGpuContext::Initialize(const \
                       onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()>::<lambda(wgpu::RequestAdapterStatus, \
                       wgpu::Adapter*)> status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU \
                       adapter: No supported adapters\n";
        assert_eq!(plain(adapter), "Failed to get a WebGPU adapter: No supported adapters");
        let nested = "Exception during initialization: /core/basic_backend.cc:136 a::B::B(C&) /core/ov_interface.cc:28 \
                      auto a::Boundary(F&&, Args&& ...) [with bool typed = false; F = void(int)] [ERROR] Exception from \
                      src/plugin.cpp:53:\nNotFound: Unsupported property NONSENSE by CPU plugin.\n\n";
        assert_eq!(plain(nested), "NotFound: Unsupported property NONSENSE by CPU plugin");
        assert_eq!(
            plain("Load model failed: (unknown) at model.cc:12"),
            "Load model failed: (unknown) at model.cc:12"
        );
    }
}
