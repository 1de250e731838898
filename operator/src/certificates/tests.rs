//! The life of certificates, with a simulated clock.

use std::time::Duration;

use serde_json::Value;

use super::*;

const DAY: i64 = 86_400;
const NOW: UnixTime = 1_800_000_000;

fn profile() -> Profile {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    Profile {
        authority: days(900),
        settle: Duration::ZERO,
        leaf: days(90),
        names: vec!["bailiwick-webhook.bailiwick-system.svc".to_owned(), "127.0.0.1".to_owned()],
    }
}

fn certificates() -> Certificates {
    Certificates::new(&profile(), NOW).expect("certificates")
}

fn data(secret: &Value) -> Value {
    secret["data"].clone()
}

/// The authorities in a bundle that cover the leaf.
fn covered(leaf: &Pair, bundle: &str) -> bool {
    read::split(bundle).iter().any(|authority| {
        let authority = Pair { certificate: authority.clone(), key: String::new() };
        read::fits(leaf, &authority, &profile().names)
    })
}

#[test]
fn nothing_is_due_until_two_thirds_are_over_and_then_the_leaf_is_renewed() {
    let mut now = certificates();
    let first = now.clone();
    assert_eq!(now.advance(&profile(), NOW, true).expect("a step"), None);
    assert_eq!(now.advance(&profile(), NOW + 59 * DAY, true).expect("a step"), None);
    assert_eq!(now, first);
    assert_eq!(now.advance(&profile(), NOW + 61 * DAY, true).expect("a step"), Some(Step::Renewed));
    assert_eq!(now.current, first.current);
    assert_ne!(now.leaf, first.leaf);
    assert_eq!(now.expires(), Some(NOW + 61 * DAY + 90 * DAY));
    assert_eq!(now.advance(&profile(), NOW + 61 * DAY, true).expect("a step"), None);
}

#[test]
fn the_leaf_follows_a_new_authority_only_when_that_is_trusted_and_the_old_one_stays_trusted() {
    let mut now = certificates();
    let first = now.clone();
    let late = NOW + 650 * DAY;
    assert_eq!(now.advance(&profile(), late, false).expect("a step"), Some(Step::Introduced));
    assert_eq!(read::split(&now.bundle()).len(), 2, "both are trusted");
    assert!(covered(&first.leaf, &now.bundle()));
    // The leaf is old by now; until the new authority is trusted, the old one renews it.
    assert_eq!(now.advance(&profile(), late, false).expect("a step"), Some(Step::Renewed));
    assert_eq!(now.advance(&profile(), late, false).expect("a step"), None);
    assert!(covered(&now.leaf, &first.bundle()), "whoever has only the old bundle can still verify");
    let bundle = now.bundle();
    assert_eq!(now.advance(&profile(), late, true).expect("a step"), Some(Step::Promoted));
    assert!(covered(&now.leaf, &bundle), "the bundle before covers the leaf after");
    assert_eq!(now.previous, std::slice::from_ref(&first.current.certificate));
    assert!(now.bundle().contains(first.current.certificate.trim()));
    assert_eq!(now.advance(&profile(), late, true).expect("a step"), None);
    let expired = NOW + 901 * DAY;
    assert_eq!(now.advance(&profile(), expired, true).expect("a step"), Some(Step::Dropped));
    assert!(!now.bundle().contains(first.current.certificate.trim()));
}

#[test]
fn a_leaf_does_not_outlive_its_authority() {
    let mut now = certificates();
    let late = NOW + 880 * DAY;
    now.next = None;
    let leaf = make::leaf(&now.current, &profile(), late).expect("a leaf");
    assert_eq!(Facts::of(&leaf.certificate).expect("facts").not_after, NOW + 900 * DAY);
}

#[test]
fn at_the_end_of_an_authority_and_after_it_every_step_is_the_last_for_a_while() {
    let step = |now: &mut Certificates, at| now.advance(&profile(), at, false).expect("a step");
    // The next authority is trusted by nobody yet: its configuration cannot be written.
    let (mut now, last_minute) = (certificates(), NOW + 900 * DAY - 60);
    assert_eq!(step(&mut now, last_minute), Some(Step::Introduced));
    assert_eq!(step(&mut now, last_minute), Some(Step::Renewed));
    assert_eq!(step(&mut now, last_minute), None, "no leaf of it lasts longer");
    let mut late = now.clone();
    assert_eq!(step(&mut late, last_minute + 120), Some(Step::Promoted));
    assert_eq!(step(&mut late, last_minute + 120), Some(Step::Dropped), "whose turn is over is not kept");
    assert_eq!(step(&mut late, last_minute + 120), None);
    assert!(covered(&late.leaf, &late.bundle()));
    // The clock was set by years: the authority ended long ago, and no leaf of it is ever new.
    let (mut now, years) = (certificates(), NOW + 5000 * DAY);
    let steps: Vec<_> = std::iter::from_fn(|| step(&mut now, years)).take(9).collect();
    assert_eq!(steps, [Step::Introduced, Step::Promoted, Step::Dropped]);
    assert!(now.expires().is_some_and(|end| end > years) && covered(&now.leaf, &now.bundle()));
    // Back again: what begins in the future is of no use now.
    assert_eq!(step(&mut now, NOW), Some(Step::Introduced));
    assert_eq!(step(&mut now, NOW), Some(Step::Renewed));
}

#[test]
fn another_name_or_a_shorter_life_makes_a_new_leaf() {
    let mut now = certificates();
    let mut other = profile();
    other.names.push("webhook.example.org".to_owned());
    assert_eq!(now.advance(&other, NOW, true).expect("a step"), Some(Step::Renewed));
    assert_eq!(now.advance(&other, NOW, true).expect("a step"), None);
    other.leaf = Duration::from_secs(3600);
    assert_eq!(now.advance(&other, NOW, true).expect("a step"), Some(Step::Renewed));
    assert_eq!(now.advance(&other, NOW, true).expect("a step"), None);
}

#[test]
fn what_is_stored_is_read_back_and_damage_is_noticed() {
    let mut now = certificates();
    now.advance(&profile(), NOW + 650 * DAY, false).expect("a step");
    now.advance(&profile(), NOW + 650 * DAY, false).expect("a step");
    now.advance(&profile(), NOW + 650 * DAY, true).expect("a step");
    let [authority, leaf] = now.secrets("bailiwick-system");
    let (authority, leaf) = (data(&authority), data(&leaf));
    let at = NOW + 651 * DAY;
    let read = |authority: &Value, leaf: &Value| Certificates::read(authority, leaf, at);
    assert_eq!(read(&authority, &leaf), Some(now.clone()));

    // A key of another authority; an expired authority; nothing at all.
    let mut swapped = authority.clone();
    swapped["ca.key"] = Value::String(STANDARD.encode(&certificates().current.key));
    assert_eq!(read(&swapped, &leaf), None);
    assert_eq!(Certificates::read(&authority, &leaf, NOW + 5000 * DAY), None);
    assert_eq!(read(&Value::Null, &leaf), None);

    // A leaf that another tool made is replaced by the next step.
    let foreign = certificates().secrets("bailiwick-system")[1].clone();
    let mut back = read(&authority, &data(&foreign)).expect("the authority is good");
    assert_eq!(back.advance(&profile(), at, true).expect("a step"), Some(Step::Renewed));
    assert!(covered(&back.leaf, &back.bundle()));
    let mut back = read(&authority, &Value::Null).expect("the authority is good");
    assert_eq!(back.advance(&profile(), at, true).expect("a step"), Some(Step::Renewed));
}

#[test]
fn what_is_shown_holds_no_key() {
    assert!(!format!("{:?}", certificates()).contains("PRIVATE"));
}
