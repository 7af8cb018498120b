//! `groups`.

use crate::scene::{Scene, email};

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_counted_without_those_who_left() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.register("chi", "Water");
    scene.run(&["sync"]).await.ended(0);
    let counts = |groups: serde_json::Value| -> Vec<(String, u64)> {
        let group = |group: &serde_json::Value| {
            (group["name"].as_str().unwrap().to_owned(), group["members"].as_u64().unwrap())
        };
        groups["groups"].as_array().unwrap().iter().map(group).collect()
    };
    let expected = |finance, water| {
        vec![("Intergovernmental Finance".to_owned(), finance), ("Water Board".to_owned(), water)]
    };
    assert_eq!(counts(scene.run(&["groups", "--json"]).await.ended(0).json()), expected(2, 1));
    scene.sandbox.person().unsubscribe(&email("ben")).unwrap();
    scene.run(&["sync"]).await.ended(0);
    assert_eq!(counts(scene.run(&["groups", "--json"]).await.ended(0).json()), expected(1, 1));
    let csv = scene.run(&["groups", "--csv"]).await.ended(0).out;
    assert_eq!(csv, "group,members\nIntergovernmental Finance,1\nWater Board,1\n");
    scene.run(&["groups"]).await.ended(0).says(&["Water Board"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_lists_its_members_and_why() {
    let scene = Scene::with(&["ada"]).await;
    scene.register("=cmd", "Water");
    scene.alter("UPDATE registrations SET email = 'chi@alliance.test' WHERE id = 2");
    scene.run(&["sync"]).await.ended(0);
    let csv = scene.run(&["groups", "water board", "--csv"]).await.ended(0).out;
    let expected = "email,FNAME,LNAME,membership,why\n\
                    chi@alliance.test,'=cmd,,member,\"topic:Water, membership member\"\n";
    assert_eq!(csv, expected);
    let listed = scene.run(&["groups", "Intergovernmental Finance", "--json"]).await.ended(0).json();
    assert_eq!(listed["members"][0]["email"], email("ada"), "{listed}");
    assert_eq!(listed["members"][0]["why"], "topic:Finance");
    scene.run(&["groups", "Water Board"]).await.ended(0).says(&["chi@alliance.test", "1 member."]);
    scene.run(&["groups", "Watr"]).await.ended(2).complains("\"Water Board\"");
    scene.run(&["groups", "--csv", "--json"]).await.ended(2).complains("not both");
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_rows_are_gone_is_in_no_group_while_the_removal_waits() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.run(&["pause"]).await.ended(0);
    scene.alter("DELETE FROM registrations WHERE id = 2");
    scene.run(&["sync"]).await;
    assert_eq!(scene.sandbox.member(&email("ben")).unwrap()["status"], "subscribed");
    // Ben stayed in the list for as long as nothing was written.
    let listed = scene.run(&["groups", "Intergovernmental Finance", "--csv"]).await.ended(0).out;
    assert!(listed.contains(&email("ada")) && !listed.contains(&email("ben")), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cell_of_a_list_is_a_formula_or_breaks_it() {
    let scene = Scene::with(&["ada"]).await;
    scene.alter("UPDATE registrations SET first_name = '-2+3', last_name = '\"a\",' || char(10) || 'b'");
    scene.run(&["sync"]).await.ended(0);
    let csv = scene.run(&["groups", "Intergovernmental Finance", "--csv"]).await.ended(0).out;
    let expected = "email,FNAME,LNAME,membership,why\n\
                    ada@alliance.test,'-2+3,\"\"\"a\"\",\\nb\",member,topic:Finance\n";
    assert_eq!(csv, expected);
}
