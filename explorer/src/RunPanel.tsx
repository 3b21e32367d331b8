// Right: what the whole run says.
import { useMemo, useState } from "preact/hooks";
import { Curves, type Curve } from "./Curves";
import type { View } from "./state";
import { countText, decimals, numberText } from "./text";
import type { Run } from "./types";

interface Props {
  run: Run;
  view: View;
  change: (part: Partial<View>) => void;
}

export function RunPanel({ run, view, change }: Props) {
  return (
    <aside class="run" aria-label="The whole run">
      <h2>All {run.chains.length} chains</h2>
      {run.agreement && <AgreementMatrix run={run} change={change} />}
      {run.faithfulness && <FaithfulnessCurves run={run} view={view} />}
      {run.recovery && <RecoveryCurves run={run} view={view} />}
      <Cost run={run} />
      {run.missing.length > 0 && (
        <section aria-label="What can be added">
          <h3>Not computed yet</h3>
          <ul>
            {run.missing.map(({ what, command }) => (
              <li key={command}>
                {what}: <code>{command}</code>
              </li>
            ))}
          </ul>
        </section>
      )}
      <section aria-label="About the run">
        <h3>About the run</h3>
        <dl>
          {run.facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
    </aside>
  );
}

/** A label that may be broken after its punctuation, and nowhere else. */
function breakable(label: string) {
  return label.split(/(?<=[_:=,])/).flatMap((part, index) => (index ? [<wbr key={index} />, part] : [part]));
}

function AgreementMatrix({ run, change }: { run: Run; change: Props["change"] }) {
  const agreement = run.agreement!;
  const [measure, setMeasure] = useState(0);
  const [partial, setPartial] = useState(0);
  const mean = agreement.mean[measure]![partial]!;
  const interval = (one: number, other: number): string => {
    const [low, high] = [agreement.low[measure]![partial]![one]![other], agreement.high[measure]![partial]![one]![other]];
    return low === null || high === null ? "no interval" : `${decimals(low)} to ${decimals(high)}`;
  };
  const chance = agreement.chance[measure]?.[partial];
  const isEmpty = agreement.chainsUsed[measure]![partial]!.every((row, one) => row.every((used, other) => one === other || used === 0));
  return (
    <section aria-label="Agreement">
      <h3>Agreement</h3>
      <div class="choices">
        <label>
          Measure{" "}
          <select value={measure} onChange={(event) => setMeasure(Number(event.currentTarget.value))}>
            {agreement.measures.map((name, index) => (
              <option key={name} value={index}>
                {name.replaceAll("_", " ")}
              </option>
            ))}
          </select>
        </label>
        <label>
          <input type="checkbox" checked={partial === 1} onChange={(event) => setPartial(event.currentTarget.checked ? 1 : 0)} /> position
          partialled out
        </label>
      </div>
      {isEmpty && (
        <p class="note">
          Not known: agreement needs chains of {agreement.minimumUnits} units or more that two estimators do not rank by position alone.
        </p>
      )}
      <div class="wide">
        <table class="matrix">
          <caption>
            Mean over chains, below it the {Math.round(agreement.confidence * 100)} % interval
            {chance === null || chance === undefined ? "" : `; by chance ${decimals(chance)}`}
          </caption>
          <thead>
            <tr>
              <td />
              {run.estimators.slice(0, -1).map((name) => (
                <th key={name} scope="col">
                  {breakable(name)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {run.estimators.slice(1).map((name, before) => {
              const row = before + 1;
              return (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {run.estimators.slice(0, row).map((other, column) => {
                    const value = mean[row]![column]!;
                    const used = agreement.chainsUsed[measure]![partial]![row]![column];
                    return (
                      <td
                        key={other}
                        class={value !== null && Math.abs(value) > 0.55 ? "dark" : ""}
                        style={{ "--shade": (value === null ? 0 : Math.abs(value)).toFixed(3) }}
                        data-sign={value !== null && value < 0 ? "negative" : "positive"}
                      >
                        <button type="button" title={`${name} and ${other}, ${used} chains: show where they differ`} onClick={() => change({ pair: [row, column] })}>
                          {decimals(value)}
                          <small>{value === null ? "" : interval(row, column)}</small>
                        </button>
                      </td>
                    );
                  })}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function FaithfulnessCurves({ run, view }: { run: Run; view: View }) {
  const faithfulness = run.faithfulness!;
  const [measure, setMeasure] = useState(0);
  const [curve, setCurve] = useState(0);
  const curves = useMemo(
    (): Curve[] => run.estimators.map((name, place) => ({ name, place, values: faithfulness.mean[measure]![curve]![place]! })),
    [run, measure, curve],
  );
  const band = useMemo(
    () => ({ low: faithfulness.uniformLow[measure]!, mean: faithfulness.uniformMean[measure]!, high: faithfulness.uniformHigh[measure]! }),
    [faithfulness, measure],
  );
  const { name, unit } = faithfulness.measures[measure]!;
  const leastFirst = faithfulness.curves[curve] === "least_first";
  return (
    <section aria-label="Faithfulness">
      <h3>Faithfulness</h3>
      <div class="choices">
        <label>
          Measure{" "}
          <select value={measure} onChange={(event) => setMeasure(Number(event.currentTarget.value))}>
            {faithfulness.measures.map((each, index) => (
              <option key={each.name} value={index}>
                {each.name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Deleted{" "}
          <select value={curve} onChange={(event) => setCurve(Number(event.currentTarget.value))}>
            {faithfulness.curves.map((each, index) => (
              <option key={each} value={index}>
                {each === "least_first" ? "least important first" : "most important first"}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Curves
        title={`Mean over chains; ${leastFirst ? "higher" : "lower"} is better; band: range of ${faithfulness.draws} random draws`}
        label={`${name} (${unit})`}
        keepRatios={faithfulness.keepRatios}
        curves={curves}
        band={band}
        keep={view.keep}
      />
    </section>
  );
}

function RecoveryCurves({ run, view }: { run: Run; view: View }) {
  const recovery = run.recovery!;
  const [reference, setReference] = useState(0);
  const curves = useMemo(
    (): Curve[] => run.estimators.map((name, place) => ({ name, place, values: recovery.mean[reference]![place]! })),
    [run, reference],
  );
  const band = useMemo(
    () => ({ low: recovery.uniformLow[reference]!, mean: recovery.uniformMean[reference]!, high: recovery.uniformHigh[reference]! }),
    [recovery, reference],
  );
  return (
    <section aria-label="Answer recovery">
      <h3>Answer recovery</h3>
      <label>
        Same answer as{" "}
        <select value={reference} onChange={(event) => setReference(Number(event.currentTarget.value))}>
          {recovery.references.map((name, index) => (
            <option key={name} value={index}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <Curves
        title={`Share of chains with the same answer; higher is better; band: range of ${recovery.draws} random draws`}
        label="share of chains"
        keepRatios={recovery.keepRatios}
        curves={curves}
        band={band}
        keep={view.keep}
      />
    </section>
  );
}

function Cost({ run }: { run: Run }) {
  return (
    <section aria-label="Cost">
      <h3>Cost</h3>
      <table>
        <thead>
          <tr>
            <th scope="col">estimator</th>
            <th scope="col">seconds</th>
            <th scope="col">token positions</th>
            <th scope="col">chains</th>
          </tr>
        </thead>
        <tbody>
          {run.estimators.map((name, index) => {
            const cost = run.cost[index]!;
            return (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{numberText(cost.seconds)}</td>
                <td>{countText(cost.positions)}</td>
                <td>{cost.chains}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
