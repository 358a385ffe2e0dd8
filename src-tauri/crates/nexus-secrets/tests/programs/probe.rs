//! Uses the keychain that its environment leads to, and says what became of it:
//! `nexus-secrets-probe <milliseconds of patience> set|same|list|remove <name>`.
//!
//! `set` and `same` read the value from standard input. No value is ever printed.

use nexus_secrets::{ExposeSecret, Patience, SecretName, SecretSource};
use std::{
    error::Error,
    io::{Read, Write},
    time::Duration,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what| arguments.next().ok_or(format!("{what} is missing"));
    let patience = Duration::from_millis(argument("the patience")?.parse()?);
    let (order, name) = (argument("the order")?, argument("the name")?);
    let source = SecretSource::keychain(Patience {
        connect: patience,
        answer: patience,
    });
    let answer = match obey(&source, &order, name.parse()?).await {
        Ok(answer) => answer,
        Err(error) => format!("{error:?}"),
    };
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}

async fn obey(
    source: &SecretSource,
    order: &str,
    name: SecretName,
) -> Result<String, Box<dyn Error>> {
    let mut value = String::new();
    if ["set", "same"].contains(&order) {
        std::io::stdin().read_to_string(&mut value)?;
    }
    match order {
        "set" => source.set(name, value.into()).await?,
        "remove" => source.remove(name).await?,
        "list" => {
            let saved = source.list().await?;
            let shown: Vec<_> = saved
                .iter()
                .map(|s| format!("{} …{} {}", s.name, s.last_four, s.source))
                .collect();
            return Ok(format!("[{}]", shown.join(", ")));
        }
        "same" => {
            let saved = source.get(name).await?;
            let answer = match saved {
                None => "none",
                Some(saved) if saved.expose_secret() == value => "same",
                Some(_) => "different",
            };
            return Ok(answer.to_owned());
        }
        _ => return Err("the order is unknown".into()),
    }
    Ok("done".to_owned())
}
