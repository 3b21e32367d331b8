// Where two estimators differ most: in this chain, and over all chains.
import { Choice } from "./Choice";
import { pairIndex, places } from "./ranking";
import type { View } from "./state";
import { decimals, tokenText, visible } from "./text";
import type { ChainData, FarApart, Run } from "./types";

const SHOWN = 5;

/** Return the units that two estimators place furthest apart, the furthest first. */
export function furthest(chain: ChainData, pair: [number, number], chainIndex: number): FarApart[] {
  const [one, other] = [chain.lanes[pair[0]], chain.lanes[pair[1]]];
  if (!one || !other || pair[0] === pair[1]) return [];
  const [first, second] = [places(one), places(other)];
  return first
    .map((place, unit): FarApart => ({ chain: chainIndex, unit, text: unitText(chain, unit), places: [place, second[unit]!] }))
    .filter((far) => far.places[0] !== far.places[1])
    .sort((a, b) => Math.abs(b.places[0] - b.places[1]) - Math.abs(a.places[0] - a.places[1]))
    .slice(0, SHOWN);
}

/** Return the text of a unit: from its first token to its last. */
export function unitText(chain: ChainData, unit: number): string {
  const tokens = chain.unit.flatMap((each, token) => (each === unit ? [token] : []));
  if (!tokens.length) return "";
  return chain.reasoning.slice(Math.min(...tokens.map((t) => chain.start[t]!)), Math.max(...tokens.map((t) => chain.end[t]!)));
}

interface Props {
  run: Run;
  chain: ChainData;
  view: View;
  change: (part: Partial<View>) => void;
}

export function Disagreement({ run, chain, view, change }: Props) {
  const [one, other] = view.pair;
  const choose = (place: 0 | 1, estimator: number): void => {
    const pair: [number, number] = [...view.pair];
    pair[place] = estimator;
    change({ pair });
  };
  const index = pairIndex(one, other, run.estimators.length);
  const swapped = one > other;
  const everywhere = one === other ? [] : (run.farApart[index] ?? []).map((far) => (swapped ? { ...far, places: [far.places[1], far.places[0]] as [number, number] } : far));
  const correlations = one === other ? [] : (run.pairCorrelations[index] ?? []);
  return (
    <section class="disagreement" aria-label="Disagreement of two estimators">
      <h3>Where two estimators differ most</h3>
      <div class="choices">
        {([0, 1] as const).map((which) => (
          <Choice key={which} label={which === 0 ? "Estimator" : "and"} names={run.estimators} chosen={view.pair[which]} choose={(estimator) => choose(which, estimator)} />
        ))}
      </div>
      {one === other ? (
        <p class="note">Choose two different estimators.</p>
      ) : (
        <>
          <p>Spearman correlation over the units of this chain: {decimals(correlations[view.chain])}</p>
          <Table title="In this chain" names={[run.estimators[one]!, run.estimators[other]!]} rows={furthest(chain, view.pair, view.chain)} run={run} change={change} />
          <Table title="Over all chains" names={[run.estimators[one]!, run.estimators[other]!]} rows={everywhere.slice(0, 2 * SHOWN)} run={run} change={change} withChain />
        </>
      )}
    </section>
  );
}

interface TableProps {
  title: string;
  names: [string, string];
  rows: FarApart[];
  run: Run;
  change: (part: Partial<View>) => void;
  withChain?: boolean;
}

function Table({ title, names, rows, run, change, withChain }: TableProps) {
  if (!rows.length) return <p class="note">{title}: they do not differ, or one of them says nothing.</p>;
  return (
    <div class="wide">
      <table>
        <caption>{title}: places from 0 (least important) to 1</caption>
        <thead>
          <tr>
            <th scope="col">unit</th>
            {withChain && <th scope="col">chain</th>}
            {names.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((far) => (
            <tr key={`${far.chain}-${far.unit}`}>
              <td>
                <button type="button" class="unit" onClick={() => change({ chain: far.chain, unit: far.unit })}>
                  <bdi>{tokenText(far.text).trim() || "(white space)"}</bdi>
                </button>
              </td>
              {withChain && (
                <td>
                  <bdi>{visible(run.chains[far.chain]!.id)}</bdi>
                </td>
              )}
              <td>{decimals(far.places[0])}</td>
              <td>{decimals(far.places[1])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
