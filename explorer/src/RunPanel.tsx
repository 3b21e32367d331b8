// Right: what the whole run says.
import { useMemo, useState } from "preact/hooks";
import { Choice } from "./Choice";
import { Curves, type Curve } from "./Curves";
import { Label } from "./Label";
import type { View } from "./state";
import { countText, decimals, secondsText } from "./text";
import type { Look, Run } from "./types";

/** Up to so many estimators are told apart at a glance; of more, those that have a lane are shown first. */
const FEW = 8;

interface Props {
  run: Run;
  view: View;
  change: (part: Partial<View>) => void;
}

export function RunPanel({ run, view, change }: Props) {
  return (
    <aside class="run" aria-label="The whole run">
      <h2>All {run.chains.length} chains</h2>
      {run.agreement && <AgreementMatrix run={run} view={view} change={change} />}
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

function AgreementMatrix({ run, view, change }: Props) {
  const agreement = run.agreement!;
  const [measure, setMeasure] = useState(0);
  const [kind, setKind] = useState(0);
  const [all, setAll] = useState(false);
  const every = run.estimators.map((_, index) => index);
  const isLarge = run.estimators.length > FEW;
  // Two lanes are the least that makes a matrix; with fewer there is nothing to leave out.
  const shown = isLarge && !all && view.lanes.length > 1 ? every.filter((index) => view.lanes.includes(index)) : every;
  const isDense = shown.length > FEW;
  const mean = agreement.mean[measure]![kind]!;
  const interval = (one: number, other: number): string => {
    const [low, high] = [agreement.low[measure]![kind]![one]![other], agreement.high[measure]![kind]![one]![other]];
    return low === null || high === null ? "no interval" : `${decimals(low)} to ${decimals(high)}`;
  };
  const chance = agreement.chance[measure]![kind];
  const noise = agreement.noise[measure]![kind];
  const isEmpty = agreement.chainsUsed[measure]![kind]!.every((row, one) => row.every((used, other) => one === other || used === 0));
  return (
    <section aria-label="Agreement">
      <h3>Agreement</h3>
      <div class="choices">
        <Choice label="Measure" names={agreement.measures.map((name) => name.replaceAll("_", " "))} chosen={measure} choose={setMeasure} />
        <Choice label="Shown" names={agreement.kinds} chosen={kind} choose={setKind} />
        {isLarge && (
          <label>
            <input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} /> all {run.estimators.length} estimators
          </label>
        )}
      </div>
      {isEmpty && (
        <p class="note">
          Not known: agreement needs chains of {agreement.minimumUnits} units or more that two estimators do not rank by position alone.
        </p>
      )}
      <p class="note" id="agreement-shown">
        Mean over chains{isDense ? "" : `, below it the ${Math.round(agreement.confidence * 100)} % interval`}
        {chance === null || chance === undefined ? "" : `; by chance ${decimals(chance)}`}
        {noise === null || noise === undefined ? "" : `; without the agreement that place alone makes; random orders ±${decimals(noise)}`}
      </p>
      <div class="wide">
        <table class={isDense ? "matrix dense" : "matrix"} aria-describedby="agreement-shown">
          <thead>
            <tr>
              <td />
              {shown.slice(0, -1).map((index) => (
                <th key={index} scope="col" title={run.estimators[index]}>
                  <span>{isDense ? run.estimators[index] : <Label name={run.estimators[index]!} />}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.slice(1).map((row, before) => {
              const name = run.estimators[row]!;
              return (
                <tr key={row}>
                  <th scope="row" title={name}>
                    {isDense ? name : <Label name={name} />}
                  </th>
                  {shown.slice(0, before + 1).map((column) => {
                    const other = run.estimators[column]!;
                    const value = mean[row]![column]!;
                    const used = agreement.chainsUsed[measure]![kind]![row]![column];
                    const between = value === null ? "" : interval(row, column);
                    return (
                      <td
                        key={other}
                        class={value !== null && Math.abs(value) > 0.55 ? "dark" : ""}
                        style={{ "--shade": (value === null ? 0 : Math.abs(value)).toFixed(3) }}
                        data-sign={value !== null && value < 0 ? "negative" : "positive"}
                      >
                        <button type="button" title={`${name} and ${other}, ${between || "not known"}, ${used} chains: show where they differ`} onClick={() => change({ pair: [row, column] })}>
                          {decimals(value)}
                          {!isDense && <small>{between}</small>}
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

/** Return how an estimator's curve looks: where there are many, only those that have a lane have a colour. */
function lookOf(run: Run, view: View, index: number): Look | null {
  return run.estimators.length <= FEW || view.lanes.includes(index) ? run.looks[index]! : null;
}

function FaithfulnessCurves({ run, view }: { run: Run; view: View }) {
  const faithfulness = run.faithfulness!;
  const [measure, setMeasure] = useState(0);
  const [curve, setCurve] = useState(0);
  const curves = useMemo(
    (): Curve[] => run.estimators.map((name, index) => ({ name, look: lookOf(run, view, index), values: faithfulness.mean[measure]![curve]![index]! })),
    [run, view.lanes, measure, curve],
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
        <Choice label="Measure" names={faithfulness.measures.map((each) => each.name)} chosen={measure} choose={setMeasure} />
        <Choice label="Deleted" names={faithfulness.curves.map((each) => each === "least_first" ? "least important first" : "most important first")} chosen={curve} choose={setCurve} />
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
    (): Curve[] => run.estimators.map((name, index) => ({ name, look: lookOf(run, view, index), values: recovery.mean[reference]![index]! })),
    [run, view.lanes, reference],
  );
  const band = useMemo(
    () => ({ low: recovery.uniformLow[reference]!, mean: recovery.uniformMean[reference]!, high: recovery.uniformHigh[reference]! }),
    [recovery, reference],
  );
  return (
    <section aria-label="Answer recovery">
      <h3>Answer recovery</h3>
      <Choice label="Same answer as" names={recovery.references} chosen={reference} choose={setReference} />
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
                <th scope="row">
                  <Label name={name} />
                </th>
                <td>{secondsText(cost.seconds)}</td>
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
