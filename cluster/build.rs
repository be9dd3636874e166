//! Generates the clients and servers of the scheduler's own services. Their messages are Rust types, so that no compiler of
//! protocol buffers is needed.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn main() {
    let files = Service::builder()
        .name("Files")
        .package("seequel")
        .method(method("files", "offer", "Offer", "Offered", "Wanted").server_streaming().build())
        .method(method("files", "give", "Give", "Part", "Given").client_streaming().build())
        .method(method("files", "take", "Take", "Asked", "Part").server_streaming().build())
        .method(method("files", "hold", "Hold", "Held", "Given").client_streaming().build())
        .method(method("files", "keep", "Keep", "Kept", "Given").build())
        .build();
    let jobs = Service::builder()
        .name("Jobs")
        .package("seequel")
        .method(method("jobs", "stages", "Stages", "StagesOfJob", "Stages").build())
        .method(method("jobs", "list", "List", "Nothing", "Listed").build())
        .method(method("jobs", "results", "Results", "OfJob", "Results").build())
        .method(method("jobs", "ended", "Ended", "OfJob", "Nothing").build())
        .method(method("jobs", "report", "Report", "Report", "Nothing").build())
        .method(method("jobs", "executors", "Executors", "Nothing", "Executors").build())
        .method(method("jobs", "needed", "Needed", "Nothing", "Needed").server_streaming().build())
        .build();
    Builder::new().compile(&[files, jobs]);
}

/// A method of the service in the module `module`, with messages of that.
fn method(module: &str, name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    let method = Method::builder().name(name).route_name(route).codec_path("tonic_prost::ProstCodec");
    method
        .input_type(format!("crate::{module}::messages::{input}"))
        .output_type(format!("crate::{module}::messages::{output}"))
}
