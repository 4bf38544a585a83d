#!/usr/bin/env bash
# Makes the homes of compose.yaml's nodes, with generated rows (see docs/data.md for your own), founds the federation, lets the edges join
# by a token each, and starts all.
set -euo pipefail
cd "$(dirname "$0")"
once() { docker compose run --rm --no-deps -T "$@"; }

docker compose build super
once super init --name super --role super --listen /ip4/0.0.0.0/tcp/4001,/ip4/0.0.0.0/udp/4001/quic-v1
once super data generate /var/lib/mlecs/rows --homes 4 --seed 1
once super federation create --name homes --data /var/lib/mlecs/rows
docker compose up -d super
until id=$(docker compose exec -T super mlecs status --json | sed -n 's/.*"peer_id": "\(.*\)",/\1/p') && [ -n "$id" ]; do sleep 1; done

for i in 1 2 3; do
  once "edge-$i" data generate /var/lib/mlecs/rows --homes 1 --seed "$((10 + i))"
  docker compose exec -T super mlecs invite --bootstrap "/dns4/super/tcp/4001/p2p/$id" |
    once "edge-$i" join - --name "edge-$i" --data /var/lib/mlecs/rows
done
docker compose up -d
echo 'Look at it with: docker compose -f deploy/compose.yaml exec edge-1 mlecs watch'
