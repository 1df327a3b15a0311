//! The C library, which std would bring, has `main`'s caller and `puts`.

fn main() {
    println!("cargo:rustc-link-lib=c");
}
