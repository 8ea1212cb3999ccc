# syntax=docker/dockerfile:1

FROM rust:1.95-alpine AS build
# ring compiles C.
RUN apk add --no-cache gcc musl-dev
WORKDIR /build
COPY . .
# On Alpine the compiler's own target is musl, so that the program is static.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --features full --bin wxgate \
    && cp target/release/wxgate /wxgate

FROM scratch
COPY --from=build /wxgate /wxgate
# Nobody's number, so that the program owns no file.
USER 65532:65532
EXPOSE 8080
# Needs admin_listen = "127.0.0.1:9101" (or 0.0.0.0:9101) in the configuration.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/wxgate", "health"]
ENTRYPOINT ["/wxgate"]
CMD ["serve", "--config", "/etc/wxgate/wxgate.toml"]
