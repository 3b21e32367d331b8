// Rules of a result (docs/schema.md), as tokimp.results.views has them.
import type { ChainData, Lane, Maybe } from "./types";

/** The number of units that a lane's estimator ranked by deleting them; all of them if it does not delete in sequence. */
export function deletions(lane: Lane): number {
  return lane.trajectory ? lane.trajectory.joint.length : lane.rank.length;
}

/** How many units have gone at a keep ratio: `n - int(n * keep)`. */
export function goneCount(units: number, keep: number): number {
  return units - Math.floor(units * keep);
}

/**
 * Which units are gone at a keep ratio, [unit]; null where the estimator stopped deleting before, so that it does not say.
 */
export function goneUnits(lane: Lane, keep: number): boolean[] | null {
  const gone = goneCount(lane.rank.length, keep);
  if (gone > deletions(lane)) return null;
  return lane.rank.map((rank) => rank < gone);
}

/** Return the reasoning that is left: a character stays if every token that covers it stays. */
export function keptText(chain: ChainData, gone: boolean[]): string {
  const dropped = new Uint8Array(chain.reasoning.length);
  let covered = 0;
  chain.start.forEach((start, token) => {
    const end = chain.end[token]!;
    // A gap before the token, which no token covers, goes with it.
    if (gone[chain.unit[token]!]) dropped.fill(1, Math.min(covered, start), end);
    covered = Math.max(covered, end);
  });
  if (gone[chain.unit.at(-1)!]) dropped.fill(1, covered);
  return [...Array(dropped.length).keys()]
    .filter((place) => !dropped[place])
    .map((place) => chain.reasoning[place])
    .join("");
}

/** Places of units from 0 (least important) to 1, [unit]; units that tie share their mean place. */
export function places(lane: Lane): number[] {
  const last = lane.doubledPlace.length - 1;
  return lane.doubledPlace.map((doubled) => (last ? doubled / 2 / last : 0.5));
}

/** What each token adds to the text, [token]: a character split over several tokens belongs to the first. */
export function tokenTexts(chain: ChainData): string[] {
  let covered = 0;
  return chain.end.map((end, token) => {
    const from = covered;
    covered = token === chain.end.length - 1 ? chain.reasoning.length : Math.max(covered, end);
    return chain.reasoning.slice(from, covered);
  });
}

/** The index of a pair in `Run.pairCorrelations` and `Run.farApart`. */
export function pairIndex(one: number, other: number, count: number): number {
  const [low, high] = one < other ? [one, other] : [other, one];
  return low * count - (low * (low + 1)) / 2 + (high - low - 1);
}

/** A log-likelihood in nats after the deletions of a keep ratio, from the trajectory; null where it is not known. */
export function likelihoodAt(lane: Lane, full: Maybe, span: "answer" | "joint", keep: number): Maybe {
  if (!lane.trajectory) return null;
  const gone = goneCount(lane.rank.length, keep);
  return gone === 0 ? full : (lane.trajectory[span][gone - 1] ?? null);
}
