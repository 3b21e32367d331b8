// Left: the chains. A list box that the arrow keys walk through.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { listed, type Sorting } from "./state";
import { decimals, visible } from "./text";
import type { ChainEntry, Run } from "./types";

const SORTINGS: Sorting[] = ["given", "longest", "shortest", "wrong first", "disagreement"];

interface Props {
  run: Run;
  chosen: number;
  choose: (chain: number) => void;
}

export function Chains({ run, chosen, choose }: Props) {
  const [search, setSearch] = useState("");
  const [sorting, setSorting] = useState<Sorting>("given");
  const list = useRef<HTMLUListElement>(null);
  const order = useMemo(() => listed(run, search, sorting), [run, search, sorting]);

  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen, order]);

  const step = (by: number): void => {
    const place = order.indexOf(chosen);
    const next = order[Math.min(order.length - 1, Math.max(0, place + by))];
    if (next !== undefined) choose(next);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    const by = steps[event.key];
    if (by === undefined) return;
    event.preventDefault();
    step(by);
  };
  useEffect(() => {
    // j and k step through the list wherever one is, unless one is typing.
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "j") step(1);
      else if (event.key === "k") step(-1);
      else if (event.key === "/") {
        event.preventDefault();
        document.getElementById("search")?.focus();
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });

  return (
    <nav class="chains" aria-label="Chains">
      <div class="tools">
        <label for="search">Search ids and questions</label>
        <input id="search" type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        <label for="sorting">Order</label>
        <select id="sorting" value={sorting} onChange={(event) => setSorting(event.currentTarget.value as Sorting)}>
          {SORTINGS.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <p class="count" role="status">
          {order.length} of {run.chains.length} chains
        </p>
      </div>
      <ul
        ref={list}
        role="listbox"
        aria-label="Chains"
        tabIndex={0}
        aria-activedescendant={order.includes(chosen) ? `entry-${chosen}` : undefined}
        onKeyDown={onKeyDown}
      >
        {order.map((index) => (
          <Entry key={index} index={index} entry={run.chains[index]!} chosen={index === chosen} choose={choose} unit={run.unit} />
        ))}
      </ul>
    </nav>
  );
}

const VERDICTS = { true: "✓ right", false: "✗ wrong", null: "" };

function Entry(props: { index: number; entry: ChainEntry; chosen: boolean; choose: (chain: number) => void; unit: string }) {
  const { index, entry, chosen, choose, unit } = props;
  const verdict = VERDICTS[String(entry.right) as keyof typeof VERDICTS];
  return (
    <li id={`entry-${index}`} role="option" aria-selected={chosen} onClick={() => choose(index)}>
      <bdi class="id">{visible(entry.id)}</bdi> <span class={`verdict ${entry.right ? "right" : "wrong"}`}>{verdict}</span>
      <bdi class="question">{visible(entry.question)}</bdi>
      <span class="small">
        {entry.tokens} tokens{unit === "token" ? "" : `, ${entry.units} units`}
        {entry.disagreement === null ? "" : `, disagreement ${decimals(entry.disagreement)}`}
      </span>
    </li>
  );
}
