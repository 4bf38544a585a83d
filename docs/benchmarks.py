#!/usr/bin/env python3
"""The training step, the decoding and the products of `mlecs bench`, in PyTorch.

Prints one line of JSON, with the keys of `mlecs bench`. Debian: python3-torch and libopenblas0-openmp (with the pthread build of
OpenBLAS PyTorch collapses at two threads).

    python3 benchmarks.py step --config A --threads 1
"""
import argparse, json, math, resource, time

import torch
from torch import nn
from torch.nn import functional as F

CONFIGS = {  # width, layers, heads, vocabulary, positions, rows of a batch
    "A": (256, 4, 4, 512, 128, 8),
    "B": (768, 12, 12, 8192, 128, 2),
    "gpt2": (768, 12, 12, 50257, 1024, 2),
}
PROMPT, TOKENS, FEATURES, RANK, ALPHA = 16, 48, 64, 8, 16


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.lora_a = nn.Parameter(torch.randn(RANK, dim) / math.sqrt(dim))
        self.lora_b = nn.Parameter(torch.zeros(3 * dim, RANK))

    def forward(self, x, cache=None):
        n, t, d = x.shape
        a = self.norm1(x)
        qkv = self.qkv(a) + F.linear(F.linear(a, self.lora_a), self.lora_b) * (ALPHA / RANK)
        q, k, v = (y.view(n, t, self.heads, d // self.heads).transpose(1, 2) for y in qkv.split(d, 2))
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        scores = q @ k.transpose(2, 3) / math.sqrt(d // self.heads)
        if t > 1:
            scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
        x = x + self.out((scores.softmax(3) @ v).transpose(1, 2).reshape(n, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self, dim, layers, heads, vocab, positions):
        super().__init__()
        self.dim = dim
        self.tokens, self.positions = nn.Embedding(vocab, dim), nn.Embedding(positions, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        for name, p in self.named_parameters():
            p.requires_grad = "lora" in name
        self.encoder = nn.Sequential(nn.Linear(FEATURES, 64), nn.GELU(approximate="tanh"), nn.Linear(64, 64))
        self.connector = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 256), nn.GELU(approximate="tanh"), nn.Linear(256, PROMPT * dim))

    def start(self, x):
        return self.connector(self.encoder(x)).view(-1, PROMPT, self.dim)

    def decode(self, x, at, caches=None):
        x = x + self.positions.weight[at:at + x.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, caches[i] if caches else None)
        return x

    def logits(self, x):
        return F.linear(self.norm(x), self.tokens.weight)


clock = time.perf_counter


def measure(runs, f):
    times = []
    for i in range(2 + runs):
        start = clock()
        f()
        if i >= 2:
            times.append((clock() - start) * 1e3)
    times.sort()
    at = lambda share: times[int(share * (runs - 1) + 0.5)]
    return {"median_ms": at(0.5), "p10_ms": at(0.1), "p90_ms": at(0.9)}


def step(model, rows, runs):
    x, ids = torch.randn(rows, FEATURES), torch.randint(0, model.tokens.num_embeddings, (rows, TOKENS + 1))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def one():
        h = model.decode(torch.cat([model.start(x), model.tokens(ids[:, :-1])], 1), 0)
        # Only the positions that predict a token, as mlecs does.
        loss = F.cross_entropy(model.logits(h[:, PROMPT - 1:]).flatten(0, 1), ids.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    return {"steps": runs, **measure(runs, one)}


@torch.no_grad()
def generate(model, runs, rows=8, tokens=32):
    x = torch.randn(rows, FEATURES)

    def one():
        caches = [[] for _ in model.blocks]
        h = model.decode(model.start(x), 0, caches)
        for i in range(tokens):
            best = model.logits(h[:, -1:]).argmax(2)
            if i + 1 < tokens:
                h = model.decode(model.tokens(best), PROMPT + i, caches)

    t = measure(runs, one)
    return {"rows": rows, "tokens": tokens, "runs": runs, **t, "tokens_per_s": rows * tokens / t["median_ms"] * 1e3}


@torch.no_grad()
def gemm(runs):
    sizes = []
    for m, n, k in [(512, 256, 256), (512, 768, 768), (128, 768, 3072)]:
        a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        t = measure(runs, lambda: torch.mm(a, b, out=c))
        sizes.append({"m": m, "n": n, "k": k, **t, "gflops": 2 * m * n * k / t["median_ms"] / 1e6})
    return {"runs": runs, "sizes": sizes}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("what", choices=["step", "generate", "gemm"])
    args.add_argument("--config", default="A", choices=CONFIGS)
    args.add_argument("--runs", type=int, default=30)
    args.add_argument("--threads", type=int, default=torch.get_num_threads())
    args.add_argument("--processor-time", action="store_true")
    args = args.parse_args()
    if args.processor_time:
        global clock
        clock = time.process_time
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    result = {"threads": args.threads}
    if args.what == "gemm":
        result.update(gemm(args.runs))
    else:
        *shape, rows = CONFIGS[args.config]
        model = Model(*shape)
        result["config"] = args.config
        result.update(step(model, rows, args.runs) if args.what == "step" else generate(model, args.runs))
    result["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(json.dumps(result))


if __name__ == "__main__":
    main()
