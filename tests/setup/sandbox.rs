//! `rosterd sandbox`: what it prints first, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::stage::{json, rosterd};

struct Serving {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Serving {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rosterd"))
            .env_clear()
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Sends the signal and waits for the end.
    fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

#[tokio::test]
async fn the_first_lines_are_all_one_needs_and_it_serves_until_it_is_told_to_stop() {
    let mut serving = Serving::start(&[]);
    let (url, key, audience) = (serving.line(), serving.line(), serving.line());
    let url = url.strip_prefix("base URL  ").unwrap();
    let key = key.strip_prefix("API key   ").unwrap();
    let audience = audience.strip_prefix("audience  ").unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/3.0") && !url.contains(":0/"), "{url}");
    let pasted: Vec<String> = std::iter::from_fn(|| Some(serving.line())).skip(2).take(4).collect();
    let section = [
        "[mailchimp]".to_owned(),
        "api_key_env = \"MAILCHIMP_API_KEY\"".to_owned(),
        format!("audience = \"{audience}\""),
        format!("base_url = \"{url}\""),
    ];
    assert_eq!(pasted, section);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer =
        client.get(format!("{url}/lists/{audience}")).basic_auth("any", Some(key)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(serving.end("TERM"), Some(0));
}

#[test]
fn programs_read_one_line_of_json() {
    let mut serving = Serving::start(&["--json"]);
    let told = json(&serving.line());
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["api_key", "audience", "base_url"]);
    assert_eq!(serving.end("INT"), Some(0));
}

#[test]
fn it_serves_this_machine_only() {
    for address in ["0.0.0.0:0", "192.0.2.1:9001", "[::]:0"] {
        let ran = rosterd(&["sandbox", "--listen", address]);
        let problem =
            format!("rosterd: --listen {address}: the sandbox serves this machine only; use 127.0.0.1\n");
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr), (2, "", problem));
    }
}

#[test]
fn a_port_that_is_taken_is_worth_another_try() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = rosterd(&["sandbox", "--listen", &address]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with(&format!("rosterd: cannot listen on {address}; ")), "{}", ran.stderr);
}
