//! Pages to read, and nothing else. They lie in `docs/`, to be read there too: what a page names in
//! brackets is a link only here.

/// [`Application`]: crate::Application
/// [`AssertionError`]: crate::validate::AssertionError
/// [`Attributes`]: crate::handlers::Attributes
/// [`BaseCgiHandler`]: crate::handlers::BaseCgiHandler
/// [`Blocks`]: crate::types::Blocks
/// [`Body::File`]: crate::Body::File
/// [`Body`]: crate::Body
/// [`CgiHandler`]: crate::handlers::CgiHandler
/// [`Environ`]: crate::Environ
/// [`ErrorStream`]: crate::types::ErrorStream
/// [`Exception`]: crate::Exception
/// [`FileWrapper::new`]: crate::util::FileWrapper::new
/// [`FileWrapper`]: crate::types::FileWrapper
/// [`Gateway`]: crate::Gateway
/// [`Handler`]: crate::handlers::Handler
/// [`Headers::default`]: crate::headers::Headers::default
/// [`Headers`]: crate::headers::Headers
/// [`IisCgiHandler`]: crate::handlers::IisCgiHandler
/// [`InputStream`]: crate::types::InputStream
/// [`Outcome`]: crate::handlers::Outcome
/// [`Output`]: crate::handlers::Output
/// [`ServerHandler`]: crate::simple_server::ServerHandler
/// [`SimpleHandler::os_environ`]: crate::handlers::SimpleHandler::os_environ
/// [`SimpleHandler::run`]: crate::handlers::SimpleHandler::run
/// [`SimpleHandler`]: crate::handlers::SimpleHandler
/// [`StartResponse`]: crate::StartResponse
/// [`Streams`]: crate::handlers::Streams
/// [`Vars::native`]: crate::Vars::native
/// [`WsgiRequestHandler`]: crate::simple_server::WsgiRequestHandler
/// [`WsgiServer`]: crate::simple_server::WsgiServer
/// [`WsgiWarning`]: crate::validate::WsgiWarning
/// [`add_header`]: crate::headers::Headers::add_header
/// [`add`]: crate::headers::Headers::add
/// [`app`]: crate::app()
/// [`application_uri`]: crate::util::application_uri
/// [`apps::demo`]: crate::apps::demo()
/// [`blksize`]: crate::util::FileWrapper::blksize()
/// [`call_exc`]: trait@crate::StartResponse#method.call_exc
/// [`cleanup_headers`]: crate::handlers::Handler::cleanup_headers
/// [`contains`]: crate::headers::Headers::contains
/// [`format_date_time`]: crate::handlers::format_date_time
/// [`from_vec`]: crate::headers::Headers::from_vec
/// [`get_all`]: crate::headers::Headers::get_all
/// [`get`]: crate::headers::Headers::get
/// [`guess_scheme`]: crate::util::guess_scheme
/// [`into_vec`]: crate::headers::Headers::into_vec
/// [`is_hop_by_hop`]: crate::util::is_hop_by_hop
/// [`iter`]: crate::headers::Headers::iter
/// [`keys`]: crate::headers::Headers::keys
/// [`len`]: crate::headers::Headers::len
/// [`make_server`]: crate::simple_server::make_server
/// [`needs_transcode`]: crate::handlers::needs_transcode
/// [`new`]: crate::headers::Headers::new
/// [`read_environ`]: crate::handlers::read_environ()
/// [`remove`]: crate::headers::Headers::remove
/// [`request_uri`]: crate::util::request_uri
/// [`run`]: crate::handlers::run()
/// [`set_default`]: crate::headers::Headers::set_default
/// [`set`]: crate::headers::Headers::set
/// [`setup_testing_defaults`]: crate::util::setup_testing_defaults
/// [`shift_path_info_strict`]: crate::util::shift_path_info_strict
/// [`shift_path_info`]: crate::util::shift_path_info
/// [`to_bytes`]: crate::headers::Headers::to_bytes
/// [`transcode_environ`]: crate::handlers::transcode_environ
/// [`validate`]: crate::validate
/// [`validator`]: crate::validate::validator
/// [`values`]: crate::headers::Headers::values
/// [`vars`]: crate::Environ::vars
#[doc = include_str!("../docs/names.md")]
pub mod names {}

// Its code is that of `examples/shoutbox.rs`, which `tests/porting.rs` sees to.
#[cfg(not(doctest))]
/// [`Application`]: crate::Application
/// [`Blocks`]: crate::types::Blocks
/// [`FileWrapper::file`]: crate::types::FileWrapper::file
/// [`call_exc`]: trait@crate::StartResponse#method.call_exc
/// [`make_server`]: crate::simple_server::make_server
/// [`shift_path_info`]: crate::util::shift_path_info
/// [`testing::get`]: crate::testing::get
/// [`validator`]: crate::validate::validator
#[doc = include_str!("../docs/porting.md")]
pub mod porting {}

/// [`ClientGone`]: crate::types::ClientGone
/// [`FileWrapper`]: crate::util::FileWrapper
/// [`guess_scheme`]: crate::util::guess_scheme
/// [`simple_server`]: crate::simple_server
/// [`statics`]: crate::docs::statics
#[doc = include_str!("../docs/differences.md")]
pub mod differences {}

/// [`into_vec`]: crate::headers::Headers::into_vec
#[doc = include_str!("../docs/statics.md")]
pub mod statics {}

#[doc = include_str!("../docs/servers.md")]
pub mod servers {}

#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

#[doc = include_str!("../docs/cluster.md")]
pub mod cluster {}

#[doc = include_str!("../docs/replay.md")]
pub mod replay {}

#[cfg(feature = "tower")]
/// [`Gateway::make`]: crate::Gateway::make
/// [`MetaVariables::link`]: crate::adapter::MetaVariables::link
/// [`MetaVariables`]: crate::adapter::MetaVariables
/// [`adapter::block_on`]: crate::adapter::block_on
/// [`adapter`]: crate::adapter
#[doc = include_str!("../docs/tower.md")]
pub mod tower {}

/// [`apps::Files`]: crate::apps::Files
#[doc = include_str!("../docs/files.md")]
pub mod files {}
