//! Users: what ACL LOG notes, the file of users, and changes while others are at work.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use larder_engine::{Engine, Now, UserFile};
use larder_resp::Frame;
use larder_store::Value;

use crate::support::{Connection, START, engine};

impl Connection {
    /// One that has logged in as this user, whose password is `secret`.
    fn of(engine: &Arc<Engine>, user: &str) -> Connection {
        let mut connection = Connection::to(engine);
        assert_eq!(connection.send(&format!("AUTH {user} secret")), "+OK\n");
        connection
    }

    fn pass_s(&mut self, seconds: u64) {
        self.clock.us.set(self.clock.us.get() + seconds * 1_000_000);
    }

    /// What the request that waits is answered by now.
    fn answer(&mut self) -> Option<Value> {
        let waiting = self.waiting.as_mut()?;
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(waiting).poll(&mut context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn is_cut_off(&self) -> bool {
        self.session.client().unwrap().is_killed()
    }

    /// The entries of ACL LOG, the latest first: what was denied, without what is new each time.
    fn log(&mut self) -> Vec<String> {
        let answer = self.send("ACL LOG 100").replace('\n', "\r\n");
        let Some((Frame::Array(entries), _)) = Frame::read(answer.as_bytes()).unwrap() else {
            return Vec::new();
        };
        entries.iter().map(shown).collect()
    }
}

/// An entry of ACL LOG in a line.
fn shown(entry: &Frame) -> String {
    let Frame::Array(fields) = entry else {
        return String::new();
    };
    let text = |frame: &Frame| match frame {
        Frame::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Frame::Integer(number) => number.to_string(),
        _ => String::new(),
    };
    let fields = fields
        .chunks(2)
        .map(|pair| (text(&pair[0]), text(&pair[1])));
    let fields = fields.map(|(name, value)| match name.as_str() {
        "client-info" => {
            let wanted = |word: &&str| word.starts_with("addr=") || word.starts_with("cmd=");
            let words: Vec<_> = value.split(' ').filter(wanted).collect();
            words.join(" ")
        }
        "timestamp-created" | "timestamp-last-updated" => {
            let ms: u64 = value.parse().unwrap();
            (ms - START.unix_us() / 1000).to_string()
        }
        _ => value,
    });
    fields.collect::<Vec<_>>().join(" ")
}

// --- ACL LOG ----------------------------------------------------------------------------------

#[test]
fn what_is_denied_is_noted_with_its_place_and_counted_for_a_minute() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("ACL SETUSER ann on >secret +get +eval +multi +exec +publish ~a &c");
    let mut ann = Connection::of(&engine, "ann");
    for request in [
        "SET a 1",
        "GET b",
        "PUBLISH d x",
        "EVAL redis.pcall('GET',ARGV[1]) 0 b",
        "AUTH nobody x",
        "MULTI",
        "SET a 1",
    ] {
        ann.send(request);
    }
    ann.pass_s(60);
    ann.send("EXEC");
    ann.send("SET a 1");
    ann.pass_s(61);
    ann.send("SET a 1");
    admin.pass_s(123);
    assert_eq!(
        admin.log(),
        [
            "1 command toplevel set ann 2 addr=127.0.0.1:5000 cmd=set 6 121000 121000",
            "2 command toplevel set ann 63 addr=127.0.0.1:5000 cmd=set 0 0 60000",
            "1 command multi set ann 123 addr=127.0.0.1:5000 cmd=set 5 0 0",
            "1 auth toplevel AUTH nobody 123 addr=127.0.0.1:5000 cmd=auth 4 0 0",
            "1 key lua b ann 123 addr=127.0.0.1:5000 cmd=eval 3 0 0",
            "1 channel toplevel d ann 123 addr=127.0.0.1:5000 cmd=publish 2 0 0",
            "1 key toplevel b ann 123 addr=127.0.0.1:5000 cmd=get 1 0 0",
        ]
    );
}

#[test]
fn the_log_holds_no_more_than_it_may() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("CONFIG SET acllog-max-len 2");
    for user in ["a", "b", "c"] {
        admin.send(&format!("AUTH {user} x"));
    }
    assert_eq!(admin.log().len(), 2);
    assert!(admin.log()[0].contains(" AUTH c "));

    admin.send("CONFIG SET acllog-max-len 0");
    admin.send("AUTH d x");
    assert!(admin.log().is_empty());
    let stats = admin.send("INFO stats");
    assert!(stats.contains("acl_access_denied_auth:4\n"), "{stats}");
}

// --- changes while others are at work ---------------------------------------------------------

#[test]
fn who_waits_for_a_key_that_he_may_not_have_any_more_is_refused_when_it_comes() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("ACL SETUSER ann on >secret +@all ~*");
    let mut ann = Connection::of(&engine, "ann");
    ann.send("BLPOP jobs 0");
    admin.send("ACL SETUSER ann -blpop");
    admin.send("RPUSH jobs one");

    let Some(Value::Error(refusal)) = ann.answer() else {
        unreachable!("the wait has to be over");
    };
    let text = "NOPERM User ann has no permissions to run the 'blpop' command";
    assert_eq!(refusal.to_string(), text);
    assert_eq!(admin.send("LLEN jobs"), ":1\n");
}

#[test]
fn who_waits_as_a_user_that_is_removed_takes_nothing() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("ACL SETUSER ann on >secret +@all ~*");
    let mut ann = Connection::of(&engine, "ann");
    ann.send("BLPOP jobs 0");
    assert_eq!(admin.send("ACL DELUSER ann"), ":1\n");
    admin.send("RPUSH jobs one");
    assert!(ann.is_cut_off());
    assert_eq!(admin.send("LLEN jobs"), ":1\n");
}

#[test]
fn who_removes_his_own_user_is_answered_and_cut_off() {
    let engine = engine();
    Connection::to(&engine).send("ACL SETUSER ann on >secret +@all ~*");
    let mut ann = Connection::of(&engine, "ann");
    assert_eq!(ann.send("ACL DELUSER ann"), ":1\n(closed)");
}

#[test]
fn whoever_came_before_there_was_a_password_stays() {
    let engine = engine();
    let (mut early, mut admin) = (Connection::to(&engine), Connection::to(&engine));
    admin.send("CONFIG SET requirepass sesame");
    let mut late = Connection::to(&engine);
    assert_eq!(early.send("ECHO x"), "$1\nx\n");
    assert_eq!(late.send("ECHO x"), "-NOAUTH Authentication required.\n");
    assert_eq!(late.send("AUTH default sesame"), "+OK\n");

    // Nobody has to log in any more, also of those who came when everybody had to.
    let mut later = Connection::to(&engine);
    admin.send("ACL SETUSER default nopass");
    assert_eq!(later.send("ECHO x"), "$1\nx\n");
    assert!(!engine.needs_password());
}

/// The right was taken away between the check and the subscription, and both looked at the other's
/// state before it changed: the listener went on to listen.
#[test]
fn a_right_that_is_taken_away_leaves_no_listener_however_fast_he_subscribes() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    // What may be heard still comes first, so that there is time between the check and what may not.
    let allowed: Vec<String> = (0..5000).map(|number| format!("news:{number}")).collect();
    let request = format!("SUBSCRIBE {} other", allowed.join(" "));
    for _ in 0..30 {
        admin.send("ACL SETUSER ann reset on >secret +@all allchannels");
        let mut ann = Connection::of(&engine, "ann");
        let is_over = std::thread::scope(|scope| {
            let subscribing = scope.spawn(|| {
                let answer = ann.send(&request);
                answer.contains("(closed)") || answer.starts_with("-NOPERM") || ann.is_cut_off()
            });
            while admin.send("PUBSUB NUMSUB news:0").ends_with(":0\n") {
                std::hint::spin_loop();
            }
            admin.send("ACL SETUSER ann resetchannels &news:*");
            subscribing.join().unwrap()
        });
        assert!(is_over || ann.is_cut_off());
    }
}

#[test]
fn a_login_and_a_change_of_its_user_at_once_leave_the_new_rules() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    for _ in 0..300 {
        admin.send("ACL SETUSER ann reset on >secret +@all allkeys");
        let mut ann = Connection::to(&engine);
        std::thread::scope(|scope| {
            scope.spawn(|| ann.send("AUTH ann secret"));
            admin.send("ACL SETUSER ann -get");
        });
        assert!(ann.send("GET a").starts_with("-NOPERM"), "old rules hold");
    }
}

// --- passwords --------------------------------------------------------------------------------

#[test]
fn no_two_passwords_that_are_made_are_alike() {
    let (engine, other) = (engine(), Engine::new([8; 32], Now::from_unix_us(1)));
    let (mut one, mut two) = (Connection::to(&engine), Connection::to(&other));
    let made = [
        one.send("ACL GENPASS"),
        one.send("ACL GENPASS"),
        two.send("ACL GENPASS"),
    ];
    assert!(
        made.iter().all(|text| text.starts_with("$64\n")),
        "{made:?}"
    );
    assert!(made[0] != made[1] && made[0] != made[2]);
    assert!(one.send("ACL GENPASS 5").starts_with("$2\n"));
    assert!(one.send("ACL GENPASS 4096").starts_with("$1024\n"));
}

#[test]
fn secrets_stand_in_no_log() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("CONFIG SET slowlog-log-slower-than 0");
    admin.send("ACL SETUSER ann on >secret");
    admin.send("AUTH ann secret");
    let log = Connection::to(&engine).send("SLOWLOG GET");
    assert!(log.contains("SETUSER") && !log.contains("secret"), "{log}");
}

// --- the file ---------------------------------------------------------------------------------

/// A file in memory.
#[derive(Clone, Default)]
struct InMemory(Arc<Mutex<Vec<u8>>>);

impl InMemory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl UserFile for InMemory {
    fn name(&self) -> String {
        "users.acl".to_owned()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap() = text.to_vec();
        Ok(())
    }
}

#[test]
fn what_is_saved_is_loaded_again() {
    let (engine, file) = (engine(), InMemory::default());
    engine.set_user_file(Box::new(file.clone()));
    let mut admin = Connection::to(&engine);
    admin.send("ACL SETUSER ann on >secret %R~a:* +@read -get (~b +set)");
    let shown = admin.send("ACL LIST");
    assert_eq!(admin.send("ACL SAVE"), "+OK\n");
    assert_eq!(file.text().lines().count(), 2);

    admin.send("ACL DELUSER ann");
    admin.send("ACL SETUSER bob on");
    assert_eq!(admin.send("ACL LOAD"), "+OK\n");
    assert_eq!(admin.send("ACL LIST"), shown);
    assert_eq!(
        admin.send("CONFIG GET aclfile"),
        "*2\n$7\naclfile\n$9\nusers.acl\n"
    );
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let (engine, file) = (engine(), InMemory::default());
    engine.set_user_file(Box::new(file.clone()));
    let mut admin = Connection::to(&engine);
    admin.send("ACL SETUSER ann on >secret +@all");
    let mut ann = Connection::of(&engine, "ann");
    let before = admin.send("ACL LIST");
    *file.0.lock().unwrap() = b"user bob on\nuser default off\nuser eve nonsense".to_vec();
    assert_eq!(
        admin.send("ACL LOAD"),
        "-ERR users.acl:3: Syntax error. WARNING: ACL errors detected, no change to the previously \
         active ACL rules was performed\n"
    );
    assert_eq!(admin.send("ACL LIST"), before);
    assert_eq!(ann.send("ECHO x"), "$1\nx\n");
}

#[test]
fn loading_cuts_off_whose_user_is_gone_and_who_hears_what_he_may_not_and_nobody_else() {
    let (engine, file) = (engine(), InMemory::default());
    engine.set_user_file(Box::new(file.clone()));
    let mut admin = Connection::to(&engine);
    for user in ["ann", "bob", "eve"] {
        admin.send(&format!("ACL SETUSER {user} on >secret +@all allchannels"));
    }
    let mut listeners = ["ann", "bob", "eve"].map(|user| Connection::of(&engine, user));
    listeners.iter_mut().for_each(|listener| {
        listener.send("SUBSCRIBE news");
    });
    *file.0.lock().unwrap() = b"user ann on nopass +@all &news\nuser bob on +@all &other".to_vec();
    assert_eq!(admin.send("ACL LOAD"), "+OK\n");
    let cut_off = listeners.each_ref().map(Connection::is_cut_off);
    assert_eq!(cut_off, [false, true, true]);
    assert!(!admin.is_cut_off());
}

// --- which connections ------------------------------------------------------------------------

#[test]
fn connections_are_found_by_what_they_are_and_are_not() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("ACL SETUSER ann on >secret +@all allchannels");
    let (mut ann, mut other) = (
        Connection::of(&engine, "ann"),
        Connection::from(&engine, "[::1]:5000"),
    );
    ann.send("CLIENT SETNAME worker");
    ann.send("CLIENT CAPA something REDIRECT");
    ann.send("CLIENT SETINFO LIB-NAME jedis");
    ann.send("SELECT 3");
    other.send("SUBSCRIBE news");
    admin.pass_s(10);
    let mut found = |filters: &str| {
        let list = admin.send(&format!("CLIENT LIST {filters}"));
        let ids = list
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("id="));
        ids.collect::<Vec<_>>().join(" ")
    };
    for (filters, ids) in [
        ("USER ann", "2"),
        ("NOT-USER ann", "1 3"),
        ("NAME worker", "2"),
        ("NOT-NAME worker", "1 3"),
        ("LIB-NAME jedis", "2"),
        ("NOT-LIB-VER 1", "1 2 3"),
        ("DB 3", "2"),
        ("NOT-DB 3 SKIPME yes", "3"),
        ("FLAGS P", "3"),
        ("NOT-FLAGS N", "3"),
        ("TYPE normal ID 1 3", "1"),
        ("ID 1 ID 2", "1 2"),
        ("NOT-ID 1 2", "3"),
        ("NOT-TYPE pubsub", "1 2"),
        ("IP 127.0.0.1", "1 2"),
        ("IP ::1", "3"),
        ("NOT-IP ::1", "1 2"),
        ("CAPA r", "2"),
        ("CAPA rr NOT-CAPA r", ""),
        ("NOT-CAPA r", "1 3"),
        ("NOT-ADDR 127.0.0.1:5000", "3"),
        ("IDLE 5", "2 3"),
        ("MAXAGE 5", "1 2 3"),
        ("MAXAGE 11", ""),
    ] {
        assert_eq!(found(filters), ids, "{filters}");
    }
    for (filters, refusal) in [
        ("USER nobody", "-ERR No such user 'nobody'\n"),
        (
            "FLAGS ?",
            "-ERR Unknown flags found in the provided filter: ?\n",
        ),
        ("DB 16", "-ERR DB number should be between 0 and 15\n"),
        ("IDLE 0", "-ERR idle should be greater than 0\n"),
        ("NOT-IDLE 5", "-ERR syntax error\n"),
        ("NAME", "-ERR syntax error\n"),
    ] {
        assert_eq!(admin.send(&format!("CLIENT LIST {filters}")), refusal);
    }
    assert_eq!(admin.send("CLIENT KILL USER ann NOT-DB 3"), ":0\n");
    assert_eq!(admin.send("CLIENT KILL USER ann"), ":1\n");
    assert!(ann.is_cut_off());
}

// --- pauses -----------------------------------------------------------------------------------

#[test]
fn who_waits_for_a_pause_counts_as_blocked_also_if_he_came_during_it() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("CLIENT PAUSE 1000 WRITE");
    let mut late = Connection::to(&engine);
    assert_eq!(late.send("SET a 1"), "(parked)");
    let clients = admin.send("INFO clients");
    assert!(clients.contains("blocked_clients:1\n"), "{clients}");
    assert!(admin.send("CLIENT LIST ID 2").contains(" flags=b "));
    assert!(engine.next_deadline().is_some());

    admin.send("CLIENT UNPAUSE");
    let clients = admin.send("INFO clients");
    assert!(clients.contains("blocked_clients:0\n"), "{clients}");
    assert_eq!(late.send("SET a 1"), "+OK\n");
    assert!(engine.next_deadline().is_none());
}

#[test]
fn nothing_expires_during_a_pause() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("SET a 1 PX 10");
    admin.send("CLIENT PAUSE 60000 WRITE");
    admin.pass_s(1);
    engine.tick(&admin.clock);
    assert_eq!(admin.send("GET a"), "$-1\n");
    assert!(admin.send("INFO stats").contains("expired_keys:0\n"));
    admin.send("CLIENT UNPAUSE");
    assert!(admin.send("INFO stats").contains("expired_keys:1\n"));
}

#[test]
fn a_pause_ends_with_the_time() {
    let engine = engine();
    let mut admin = Connection::to(&engine);
    admin.send("CLIENT PAUSE 1000");
    assert_eq!(admin.send("ECHO x"), "(parked)");
    admin.pass_s(1);
    engine.tick(&admin.clock);
    assert_eq!(admin.send("ECHO x"), "$1\nx\n");
}
