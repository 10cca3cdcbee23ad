// What @sigstore/verify says of Sigstore bundles.
//
// Standard input: {"trustedRoot": ..., "keys": {hint: PEM}, "bundles": [...]}, as JSON.
// Standard output: a list with null for each bundle that is accepted, else the reason.

const { readFileSync } = require("node:fs");
const { createPublicKey } = require("node:crypto");
const { bundleFromJSON } = require("@sigstore/bundle");
const { TrustedRoot } = require("@sigstore/protobuf-specs");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const { trustedRoot, keys, bundles } = JSON.parse(readFileSync(0, "utf8"));
const known = Object.fromEntries(
  Object.entries(keys).map(([hint, pem]) => [
    hint,
    { rawBytes: createPublicKey(pem).export({ type: "spki", format: "der" }) },
  ]),
);
const material = toTrustMaterial(TrustedRoot.fromJSON(trustedRoot), known);
// Our logs have no timestamp of an authority.
const verifier = new Verifier(material, { timestampThreshold: 0 });

const reasons = bundles.map((bundle) => {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
    return null;
  } catch (error) {
    return `${error.name} ${error.code ?? ""}: ${error.message}`;
  }
});
process.stdout.write(JSON.stringify(reasons));
