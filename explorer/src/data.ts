// Reads what the page holds. Each chain is a compressed block of its own, unpacked when it is first looked at.
import type { ChainData, Run } from "./types";

function textOf(id: string): string {
  const block = document.getElementById(id);
  if (!block) throw new Error(`the page has no part ${id}: it was cut short; make it again with tokimp view`);
  return block.textContent ?? "";
}

async function unpack<T>(id: string): Promise<T> {
  const bytes = Uint8Array.from(atob(textOf(id).trim()), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text()) as T;
}

export const readRun = (): Promise<Run> => unpack<Run>("run");

const chains = new Map<number, Promise<ChainData>>();
const KEPT = 40;

/** Return the chain with this index. The last ones looked at stay unpacked. */
export function readChain(index: number): Promise<ChainData> {
  let chain = chains.get(index);
  if (!chain) {
    chain = unpack<ChainData>(`chain-${index}`);
    chains.set(index, chain);
    const oldest = chains.keys().next().value;
    if (chains.size > KEPT && oldest !== undefined) chains.delete(oldest);
  }
  return chain;
}
