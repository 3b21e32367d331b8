import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Chains } from "./Chains";
import { ChainView } from "./ChainView";
import { readChain, readRun } from "./data";
import { RunPanel } from "./RunPanel";
import { firstView, fragmentOf, viewOf, type View } from "./state";
import "./style.css";
import type { ChainData, Run } from "./types";

function Explorer({ run }: { run: Run }) {
  const [view, setView] = useState<View>(() => viewOf(location.hash, run, firstView(run)));
  const [chain, setChain] = useState<{ index: number; data: ChainData } | null>(null);
  const [problem, setProblem] = useState("");

  const change = (part: Partial<View>): void =>
    setView((old) => ({ ...old, ...(part.chain !== undefined && part.chain !== old.chain ? { unit: null } : {}), ...part }));

  useEffect(() => {
    let wanted = true;
    readChain(view.chain).then(
      (data) => wanted && setChain({ index: view.chain, data }),
      (error: unknown) => wanted && setProblem(`This chain cannot be read: ${String(error)}`),
    );
    return () => {
      wanted = false;
    };
  }, [view.chain]);
  useEffect(() => {
    // Not one step of the browser's history for each move of the slider.
    history.replaceState(null, "", `#${fragmentOf(view, run)}`);
  }, [view, run]);
  useEffect(() => {
    const follow = (): void => setView((old) => viewOf(location.hash, run, old));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [run]);

  return (
    <>
      <header class="top">
        <h1>{run.title}</h1>
        <p>
          {run.estimators.length} estimators · {run.chains.length} chains · unit {run.unit} · objective {run.objective}
        </p>
      </header>
      <div class="columns">
        <Chains run={run} chosen={view.chain} choose={(index) => change({ chain: index })} />
        {problem && <p role="alert">{problem}</p>}
        {chain?.index === view.chain ? <ChainView run={run} chain={chain.data} view={view} change={change} /> : <main aria-busy="true" />}
        <RunPanel run={run} view={view} change={change} />
      </div>
    </>
  );
}

const place = document.getElementById("explorer")!;
readRun().then(
  (run) => {
    place.textContent = "";
    render(<Explorer run={run} />, place);
  },
  (error: unknown) => {
    place.textContent = `This page cannot be read: ${String(error)}`;
  },
);
