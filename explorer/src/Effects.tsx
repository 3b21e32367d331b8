// What the chosen unit does to others, and what others do to it, by the estimators that know.
import { unitText } from "./Disagreement";
import { numberText, tokenText } from "./text";
import type { View } from "./state";
import type { ChainData, Maybe, Run } from "./types";

const SHOWN = 5;

interface Props {
  run: Run;
  chain: ChainData;
  view: View;
  change: (part: Partial<View>) => void;
}

export function Effects({ run, chain, view, change }: Props) {
  const unit = view.unit;
  const known = run.estimators.flatMap((name, index) => {
    const effects = chain.lanes[index]?.effects;
    return effects ? [{ name, effects }] : [];
  });
  if (unit === null || !known.length) return null;
  return (
    <section class="effects" aria-label="Effects of the chosen unit">
      <h3>
        Effects of <bdi>{tokenText(unitText(chain, unit)).trim() || "(white space)"}</bdi>
      </h3>
      {known.map(({ name, effects }) => (
        <div key={name}>
          <List title={`${name}: it acts on`} values={effects[unit] ?? []} chain={chain} change={change} />
          <List title={`${name}: acted on by`} values={effects.map((row) => row[unit] ?? null)} chain={chain} change={change} />
        </div>
      ))}
    </section>
  );
}

function List({ title, values, chain, change }: { title: string; values: Maybe[]; chain: ChainData; change: Props["change"] }) {
  const largest = values
    .flatMap((value, unit) => (value === null || value === 0 ? [] : [{ unit, value }]))
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value))
    .slice(0, SHOWN);
  return (
    <p>
      {title}:{" "}
      {largest.length === 0
        ? "no unit"
        : largest.map(({ unit, value }) => (
            <button key={unit} type="button" class="unit" onClick={() => change({ unit })}>
              <bdi>{tokenText(unitText(chain, unit)).trim() || "(white space)"}</bdi> {numberText(value)}
            </button>
          ))}
    </p>
  );
}
