// Bundles src/ into dist/: minified files with their hash in the name, each with a .gz beside it.
// build.rs runs this in a copy of web/ under OUT_DIR; nothing else needs it.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

// GraphiQL embeds 360 KB of fonts in its style sheet; the page uses the system's (src/graphiql.css).
const withoutFonts = {
  name: "without-fonts",
  setup({ onLoad }) {
    onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => {
      const css = await readFile(path, "utf8");
      return { contents: css.replace(/@font-face\s*{[^}]*}/g, ""), loader: "css" };
    });
  },
};

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/graphiql.jsx", "src/icon.svg"],
  outdir: "dist",
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".graphql": "text", ".svg": "copy" },
  // The licences of the libraries ask for their notices to stay.
  legalComments: "eof",
  plugins: [withoutFonts],
  logLevel: "warning",
});

for (const name of await readdir("dist")) {
  const bytes = await readFile(`dist/${name}`);
  await writeFile(`dist/${name}.gz`, gzipSync(bytes, { level: 9 }));
}
