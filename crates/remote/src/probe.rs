//! What a server can do.

use larder_store::{Capabilities, Command, Error, Server, Value};

use crate::node::Node;
use crate::wire::Mode;

/// Commands whose presence tells what a server can do.
const TELLING: [&str; 5] = ["SPUBLISH", "EVALSHA_RO", "DELIFEQ", "DELEX", "HPEXPIRE"];

/// What a server can do. It is asked once for each time that it was connected to.
pub(crate) async fn capabilities(node: &Node) -> Result<Capabilities, Error> {
    if let Some(known) = node.capabilities() {
        return Ok(known);
    }
    let question = Command::new("COMMAND").arg("INFO").args(TELLING);
    let rows = match node.call(None, &question, None).await?? {
        Value::Array(rows) => rows,
        Value::Error(refusal) => return Err(Error::Refused(refusal)),
        _ => Vec::new(),
    };
    let greeting = node.greeting().unwrap_or_default();
    let has_command = |name: &str| {
        let place = TELLING.iter().position(|telling| *telling == name);
        let row = place.and_then(|place| rows.get(place));
        matches!(row, Some(Value::Array(row)) if !row.is_empty())
    };
    let capabilities = Capabilities::of(Server {
        name: &greeting.server,
        version: &greeting.version,
        is_cluster: greeting.mode == Mode::Cluster,
        has_command: &has_command,
    });
    node.know(capabilities);
    Ok(capabilities)
}
