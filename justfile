# What one does here; `just` lists it.

# List the recipes
default:
    @just --list

# Everything that has to hold before a change lands: exactly what CI runs
check:
    .ci/run

# Format the source
fmt:
    cargo fmt --all

# Lint all targets; a warning is an error
lint:
    cargo clippy --all-targets -- -D warnings

# Build the documentation, private items included; a warning is an error
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# Run the tests, or those whose names contain a word
test *names:
    cargo test {{ names }}

# Hold the contract of registers against PostgreSQL and MariaDB, too, which are started for it
databases *names:
    .ci/databases cargo test --test registrations {{ names }}

# The whole story on a sandbox audience and a sample register
demo *flags:
    cargo run --release -- demo {{ flags }}

# Measure each kind of work against its floor
bench *names:
    cargo bench {{ names }}

# Build the Debian package and try it; the last step boots a clean root and needs to be root
package:
    .ci/package

# Throw chance at a parser of foreign bytes (needs cargo-fuzz and a nightly toolchain); `cargo fuzz list` names them
fuzz target seconds="600":
    mkdir -p fuzz/found/{{ target }}
    cargo +nightly fuzz run {{ target }} fuzz/found/{{ target }} fuzz/corpus/{{ target }} -- -dict=fuzz/dict/{{ target }}.dict -max_total_time={{ seconds }} -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=20 -max_len=16384

# Hold licences, advisories, bans and sources against deny.toml (needs cargo-deny)
deny:
    cargo deny check
