//! Scratch.
use larder_embedded::Embedded;
use larder_server::{Config, Server};
fn main() {
    let store = Embedded::open(Default::default()).expect("store");
    let port = std::env::args().nth(1).expect("port");
    let config = Config {
        listen: vec![format!("127.0.0.1:{port}").parse().expect("addr")],
        ..Config::default()
    };
    let _server = Server::start(config, &store).expect("start");
    std::thread::park();
}
