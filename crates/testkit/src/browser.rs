//! A real browser: Chromium without a window, driven through its debugging pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::household::temporary_dir;
use crate::server::find_program;

/// How long a page may take until a condition holds.
const PATIENCE_MS: u64 = 30_000;

/// A browser with one page. It ends when this is dropped.
///
/// It speaks the Chrome DevTools Protocol over a pair of pipes: JSON objects with a zero byte
/// behind each.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    dir: PathBuf,
    requests: File,
    answers: BufReader<File>,
    session: String,
    last_id: u64,
}

impl Browser {
    /// Opens a page. `None` if this machine has no browser and is allowed not to: the browser is
    /// `LARDER_CHROMIUM`, or `chromium` on the path.
    ///
    /// # Panics
    ///
    /// If the browser does not start, or there is none and `LARDER_TEST_REQUIRE=all`.
    pub fn open(url: &str) -> Option<Browser> {
        let program = find_program("LARDER_CHROMIUM", "chromium")?;
        let dir = temporary_dir();
        for pipe in ["requests", "answers"] {
            let made = Command::new("mkfifo").arg(dir.join(pipe)).status();
            assert!(
                made.is_ok_and(|status| status.success()),
                "mkfifo makes a pipe"
            );
        }
        let child = spawn(&program, &dir);
        // The shell opens the same pipes in the same order; each opening waits for its other end.
        let requests = File::options().write(true).open(dir.join("requests"));
        let answers = File::open(dir.join("answers"));
        let mut browser = Browser {
            child,
            requests: requests.expect("a pipe that was just made can be opened"),
            answers: BufReader::new(answers.expect("a pipe that was just made can be opened")),
            dir,
            session: String::new(),
            last_id: 0,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        browser.call("Page.enable", &json!({}));
        browser.call("Page.navigate", &json!({ "url": url }));
        browser.answer(|message| message["method"] == "Page.loadEventFired");
        Some(browser)
    }

    /// What a JavaScript expression gives in the page.
    ///
    /// # Panics
    ///
    /// If the expression throws.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let request =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &request);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript condition holds in the page.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn wait_until(&mut self, condition: &str) {
        let holds = self.evaluate(&format!(
            "new Promise((done) => {{
                const end = performance.now() + {PATIENCE_MS};
                const look = () => {{
                    let holds = false;
                    try {{ holds = Boolean({condition}); }} catch {{ /* not there yet */ }}
                    if (holds || performance.now() > end) done(holds); else setTimeout(look, 20);
                }};
                look();
            }})"
        ));
        if holds != Value::Bool(true) {
            let page = self.evaluate("document.body.innerText");
            panic!(
                "never held: {condition}\nThe page says:\n{}",
                page.as_str().unwrap_or_default()
            );
        }
    }

    /// Clicks the element with this id.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn click(&mut self, id: &str) {
        self.evaluate(&format!("document.getElementById('{id}').click()"));
    }

    /// The text of the element with this id.
    pub fn text_of(&mut self, id: &str) -> String {
        let text = self.evaluate(&format!("document.getElementById('{id}').textContent"));
        text.as_str().unwrap_or_default().to_owned()
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut request = json!({ "id": self.last_id, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        self.requests
            .write_all(&bytes)
            .expect("the browser reads its pipe");
        let id = json!(self.last_id);
        let answer = self.answer(|message| message["id"] == id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The next message that is the wanted one. Others are passed over.
    fn answer(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut bytes = Vec::new();
            let read = self
                .answers
                .read_until(0, &mut bytes)
                .expect("the browser writes its pipe");
            assert!(read > 0, "the browser ended");
            bytes.pop();
            let message = serde_json::from_slice(&bytes).expect("the browser writes JSON");
            if is_wanted(&message) {
                return message;
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // One that has ended already can't be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What is left behind is in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn spawn(program: &Path, dir: &Path) -> Child {
    // The browser wants its pipes as descriptors 3 and 4, which a shell can give it.
    let script = "exec \"$0\" \"$@\" 3<requests 4>answers";
    Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg("--remote-debugging-pipe")
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg("about:blank")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell")
}
