//! SQL text to physical plan, with one model and a folder of photos; nothing is listed, read or loaded.
//!
//! Each shape is planned with a call that is extracted, and with `md5` in its place: the difference is Seequel's share.

use criterion::Criterion;
use seequel::Engine;
use tokio::runtime::Runtime;

use crate::home;

/// Queries as `CALL` stands in them.
const SHAPES: [(&str, &str); 6] = [
    ("select", "SELECT path, CALL FROM images"),
    ("filter", "SELECT path FROM images WHERE size > 1000 AND CALL IS NOT NULL"),
    ("subquery", "SELECT c, c IS NULL FROM (SELECT CALL AS c FROM images) WHERE c IS NOT NULL"),
    ("group", "SELECT CALL AS c, count(*) FROM images GROUP BY c HAVING count(*) > 1"),
    ("top", "SELECT path, CALL FROM images ORDER BY size DESC LIMIT 10"),
    ("join", "SELECT a.path FROM images a JOIN (SELECT path, CALL AS c FROM images) b ON a.path = b.path"),
];

pub(crate) fn measure(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let engine = runtime.block_on(engine());
    let mut group = criterion.benchmark_group("planning");
    for (shape, sql) in SHAPES {
        for (function, call) in [("classify", "classify(image, 'one')['label']"), ("md5", "md5(image)")] {
            let sql = sql.replace("CALL", call);
            group.bench_function(format!("{shape}/{function}"), |bencher| {
                bencher.iter(|| runtime.block_on(plan(&engine, &sql)));
            });
        }
    }
    group.finish();
}

async fn engine() -> Engine {
    let nowhere = tempfile::tempdir().unwrap();
    let engine = Engine::builder().home(nowhere.path()).build().unwrap();
    let model = home().join("models/efficientnet_lite0/model.onnx");
    let photos = home().join("photos");
    for sql in [
        format!("CREATE MODEL one FROM '{}'", model.display()),
        format!("CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '{}'", photos.display()),
    ] {
        engine.sql(&sql).await.unwrap();
    }
    engine
}

async fn plan(engine: &Engine, sql: &str) {
    engine.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
}
