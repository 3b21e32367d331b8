// What the page is given: written by tokimp/report/explorer/run_data.py and chain_data.py.

/** A number that may be missing: NaN in the result. */
export type Maybe = number | null;

export interface ChainEntry {
  id: string;
  question: string;
  tokens: number;
  units: number;
  /** Whether the chain's answer is the gold one; null where it is not known. */
  right: boolean | null;
  /** 1 - mean Spearman correlation over all pairs of estimators; null where no pair has one. */
  disagreement: Maybe;
}

export interface Agreement {
  measures: string[];
  /** How position is taken out: as it is, beyond place, position partialled out. */
  kinds: string[];
  /** [measure][kind][estimator][other] */
  mean: Maybe[][][][];
  low: Maybe[][][][];
  high: Maybe[][][][];
  chainsUsed: number[][][][];
  /** [measure][kind]: the mean of two random rankings; null where it is 0 by construction. */
  chance: Maybe[][];
  /** [measure][kind]: how far from chance the mean of random orders stays; null where it is not known. */
  noise: Maybe[][];
  confidence: number;
  minimumUnits: number;
}

export interface Measure {
  name: string;
  unit: string;
}

export interface Faithfulness {
  measures: Measure[];
  curves: string[];
  keepRatios: number[];
  /** [measure][curve][estimator][keep ratio] */
  mean: Maybe[][][][];
  /** [measure][keep ratio]: the mean of random orders, and their lowest and highest draw. */
  uniformMean: Maybe[][];
  uniformLow: Maybe[][];
  uniformHigh: Maybe[][];
  draws: number;
}

export interface Recovery {
  references: string[];
  keepRatios: number[];
  /** [reference][estimator][keep ratio] */
  mean: Maybe[][][];
  uniformMean: Maybe[][];
  uniformLow: Maybe[][];
  uniformHigh: Maybe[][];
  draws: number;
}

/** A unit that two estimators rank far apart. */
export interface FarApart {
  chain: number;
  unit: number;
  text: string;
  /** Places from 0 (least important) to 1, of the first and the second estimator. */
  places: [number, number];
}

/** Numbers of an estimator's hue and of its kind of line. */
export type Look = [hue: number, dashes: number];

export interface Run {
  title: string;
  facts: [name: string, value: string][];
  unit: string;
  objective: string;
  estimators: string[];
  /** [estimator]: how it looks, which goes by its label and is the same in figures. */
  looks: Look[];
  /** [estimator]: seconds and token positions over all chains. */
  cost: { seconds: Maybe; positions: Maybe; chains: number }[];
  chains: ChainEntry[];
  /** [pair][chain], pairs in the order (0, 1), (0, 2), ..., (1, 2), ... */
  pairCorrelations: Maybe[][];
  farApart: FarApart[][];
  agreement: Agreement | null;
  faithfulness: Faithfulness | null;
  recovery: Recovery | null;
  /** What each missing analysis would add, and the command that computes it. */
  missing: { what: string; command: string }[];
}

export interface UnitEffects {
  /** [unit]: log-probability that the answer loses without the unit. */
  onAnswer: Maybe[];
  /** [unit]: the units that it acts on most, and that act on it most, each with the effect. */
  actsOn: [unit: number, effect: number][][];
  actedOnBy: [unit: number, effect: number][][];
}

export interface Lane {
  /** [unit] */
  importance: number[];
  /** [unit]: place in the deletion order, 0 goes first. */
  rank: number[];
  /** [unit]: twice the place in the order of importance, 0 the least important; units that tie share their mean place. */
  doubledPlace: number[];
  /** Log-likelihoods after each deletion, [step]; null for estimators that do not delete in sequence. */
  trajectory: { answer: number[]; joint: number[] } | null;
  /** What units do to each other, in nats; null where the estimator does not say. */
  effects: UnitEffects | null;
}

export interface ChainData {
  id: string;
  system: string;
  question: string;
  reasoning: string;
  answer: string;
  gold: string;
  /** [token]: characters of the reasoning (as JavaScript counts them), and unit. */
  start: number[];
  end: number[];
  unit: number[];
  logprob: Maybe[];
  categories: string[];
  /** [token]: an index into `categories`, -1 for none. */
  category: number[];
  fullAnswer: Maybe;
  fullJoint: Maybe;
  /** [estimator]; null where it says nothing about the chain. */
  lanes: (Lane | null)[];
  /** [measure][curve][estimator][keep ratio] and, of random orders, [measure][keep ratio]. */
  faithfulness: { value: Maybe[][][][]; uniformMean: Maybe[][]; uniformLow: Maybe[][]; uniformHigh: Maybe[][] } | null;
  /** [reference][estimator][keep ratio], and the value that was written, [estimator][keep ratio]. */
  recovery: { recovered: Maybe[][][]; written: string[][]; unpruned: string } | null;
}
