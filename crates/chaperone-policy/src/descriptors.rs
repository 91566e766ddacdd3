//! `descriptors.binpb`: what gRPC methods there are, with the messages that they take.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chaperone_decode::grpc::Descriptors;

use crate::problem::Problem;

/// The path of a bundle's descriptors.
pub(crate) const PATH: &str = "descriptors.binpb";

/// Reads a set of descriptors in Base64; without one, there is nothing to read.
///
/// # Errors
/// When it is not Base64, or no `google.protobuf.FileDescriptorSet` that is whole.
pub(crate) fn parse(text: Option<&str>) -> Result<Option<Arc<Descriptors>>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let problem = |message: String| {
        let help = "write it with `buf build -o descriptors.binpb` or `protoc --include_imports --descriptor_set_out=descriptors.binpb`";
        Problem::of_file(PATH, "descriptors_invalid", message).with_help(help)
    };
    let bytes = STANDARD.decode(text).map_err(|error| problem(format!("the file is not in Base64: {error}")))?;
    let descriptors = Descriptors::from_bytes(&bytes);
    descriptors.map(|descriptors| Some(Arc::new(descriptors))).map_err(|error| problem(error.to_string()))
}
