// What is being looked at, and the link to it: everything after # in the address.
import type { Run } from "./types";

export type Colouring = "rank" | "category";
export type Sorting = "given" | "longest" | "shortest" | "wrong first" | "disagreement";

export interface View {
  chain: number;
  /** Estimators by index, in the order of the lanes. */
  lanes: number[];
  /** The share of units that is kept. */
  keep: number;
  colouring: Colouring;
  /** The two estimators whose disagreement is shown. */
  pair: [number, number];
  unit: number | null;
}

const FIRST_LANES = 4;

export function firstView(run: Run): View {
  const lanes = run.estimators.map((_, index) => index).slice(0, FIRST_LANES);
  return { chain: 0, lanes, keep: 1, colouring: "rank", pair: [0, Math.min(1, run.estimators.length - 1)], unit: null };
}

/** Return the fragment of a link to a view. */
export function fragmentOf(view: View, run: Run): string {
  const name = (index: number): string => run.estimators[index] ?? "";
  const parts = new URLSearchParams({
    chain: run.chains[view.chain]?.id ?? "",
    keep: String(view.keep),
    colour: view.colouring,
  });
  for (const lane of view.lanes) parts.append("lane", name(lane));
  for (const estimator of view.pair) parts.append("pair", name(estimator));
  if (view.unit !== null) parts.set("unit", String(view.unit));
  return parts.toString();
}

/** Return the view that a fragment names. What it does not name, or what is not in the run, is as in `view`. */
export function viewOf(fragment: string, run: Run, view: View): View {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const chain = run.chains.findIndex((entry) => entry.id === parts.get("chain"));
  const known = (names: string[]): number[] => names.map((name) => run.estimators.indexOf(name)).filter((index) => index >= 0);
  const lanes = [...new Set(known(parts.getAll("lane")))];
  const pair = known(parts.getAll("pair"));
  const keep = Number(parts.get("keep") ?? NaN);
  const unit = Number(parts.get("unit") ?? NaN);
  return {
    chain: chain >= 0 ? chain : view.chain,
    lanes: lanes.length ? lanes : view.lanes,
    keep: keep >= 0 && keep <= 1 ? keep : view.keep,
    colouring: parts.get("colour") === "category" ? "category" : "rank",
    pair: pair.length === 2 ? [pair[0]!, pair[1]!] : view.pair,
    unit: Number.isInteger(unit) && unit >= 0 ? unit : null,
  };
}

/** Return the indices of the chains to list: those that a search finds, in an order. */
export function listed(run: Run, search: string, sorting: Sorting): number[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = run.chains
    .map((_, index) => index)
    .filter((index) => {
      const entry = run.chains[index]!;
      const text = `${entry.id} ${entry.question}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  const key: Record<Sorting, (index: number) => number> = {
    given: (index) => index,
    longest: (index) => -run.chains[index]!.tokens,
    shortest: (index) => run.chains[index]!.tokens,
    "wrong first": (index) => ({ false: 0, null: 1, true: 2 })[String(run.chains[index]!.right) as "false" | "null" | "true"],
    disagreement: (index) => -(run.chains[index]!.disagreement ?? -Infinity),
  };
  return found.sort((one, other) => key[sorting](one) - key[sorting](other) || one - other);
}
