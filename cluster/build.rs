//! Generates the client and the server of the service that passes files on. Its messages are Rust types, so that no
//! compiler of protocol buffers is needed.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str, input: &str, output: &str| {
        let method = Method::builder().name(name).route_name(route).codec_path("tonic_prost::ProstCodec");
        method
            .input_type(format!("crate::files::messages::{input}"))
            .output_type(format!("crate::files::messages::{output}"))
    };
    let files = Service::builder()
        .name("Files")
        .package("seequel")
        .method(method("offer", "Offer", "Offered", "Wanted").server_streaming().build())
        .method(method("give", "Give", "Part", "Given").client_streaming().build())
        .method(method("take", "Take", "Asked", "Part").server_streaming().build())
        .build();
    Builder::new().compile(&[files]);
}
