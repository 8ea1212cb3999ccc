"""Prints the tables."""

BASE = "nginx"
HEAD = ("contestant", "req/s", "x", "us/req", "x", "(min..max)", "p50 ms", "p99 ms", "p99.9 ms")


def line(cells, widths):
    """One line of a table: the first cell to the left, all others to the right."""
    first, *others = zip(cells, widths)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def table(title, head, rows):
    """A table as plain text."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}\n")
    for row in [head, *rows]:
        print(line(row, widths))


def facts(pairs):
    """What the figures are of."""
    for name, value in pairs:
        print(f"{name + ':':18} {value}")


def times(results, name):
    """A contestant's p50, p99 and p99.9 in milliseconds."""
    return [f"{results.median(name, what) / 1000:.2f}" for what in ("p50", "p99", "p999")]


def workload(title, results, base=BASE, memory=None, head=HEAD):
    """The table of a workload: medians, and ratios to the base."""
    rows = []
    for name in results.of:
        costs = results.ratios(name, base, "cost")
        rows.append([
            name,
            f"{results.median(name, 'rps'):.0f}",
            f"{results.ratio(name, base, 'rps'):.2f}",
            f"{results.median(name, 'cost'):.2f}",
            f"{results.ratio(name, base, 'cost'):.2f}",
            f"({min(costs):.2f}..{max(costs):.2f})",
            *times(results, name),
            *([f"{memory[name] / 2**20:.1f}"] if memory else []),
        ])
    table(title, [*head, *(["MiB"] if memory else [])], rows)


def parts(results, names):
    """What is spent in the one that another asks."""
    rows = [[name, f"{results.median(name, 'part_cost'):.2f}"] for name in names]
    if rows:
        table("Of that, in the one that nginx asks", ["contestant", "us/req"], rows)


def ratios(results):
    """A line for each contestant that programs can read: cost, then requests a second, both to nginx."""
    print()
    for name in results.of:
        print(f"ratio {name} {results.ratio(name, BASE, 'cost'):.3f} {results.ratio(name, BASE, 'rps'):.3f}")


def foreign(all_results):
    """How much of the contestants' core went to programs that have nothing to do with this."""
    shares = sorted(figures.foreign for results in all_results for rounds in results.of.values() for figures in rounds)
    middle, most = shares[len(shares) // 2], shares[-1]
    print(f"\nothers on the contestants' core: {middle:.1%} of the time (median), {most:.1%} at most")
    if middle > 0.05:
        print("this machine was not idle: do not believe the figures")


def targets(found):
    """Whether each target is met, and how many are not."""
    print()
    missed = 0
    for target in found:
        if target.value is None:
            print(f"target {target.number}: {target.what}: not measured")
            continue
        met = target.value <= target.limit if target.at_most else target.value >= target.limit
        missed += not met
        word = "at most" if target.at_most else "at least"
        print(
            f"target {target.number}: {target.what}: {target.value:.3f}, {word} {target.limit:.2f}: "
            f"{'met' if met else 'MISSED'}"
        )
    return missed
