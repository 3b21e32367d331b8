// One script and one style sheet, with fixed names: the Python package puts them into the page itself.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const OUT = "../tokimp/report/explorer/built";

/** Records of which sources the program was built, so that a test can tell when it must be built again. */
function sourcesDigest(): Plugin {
  return {
    name: "sources-digest",
    closeBundle() {
      const sources = readdirSync("src").sort().map((name) => `src/${name}`);
      const digest = createHash("sha256");
      for (const name of [...sources, "package-lock.json", "tsconfig.json", "vite.config.ts"]) {
        digest.update(`${name}\n`).update(readFileSync(name));
      }
      writeFileSync(`${OUT}/sources.sha256`, `${digest.digest("hex")}\n`);
    },
  };
}

export default defineConfig({
  plugins: [sourcesDigest()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    cssCodeSplit: false,
    // A page that is read offline has nothing to preload, and nothing to fetch later.
    modulePreload: false,
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    lib: { entry: "src/main.tsx", formats: ["iife"], name: "tokimpExplorer", fileName: () => "explorer.js", cssFileName: "explorer" },
  },
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
});
