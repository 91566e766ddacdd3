//! stub
/// stub
#[derive(Debug)]
pub struct EmbeddedStore;
