// Writes Kubernetes manifests as TypeScript objects of the types that Kubernetes' API has for them, so that the compiler
// finds what is missing, of the wrong type, or not known: node to_typescript.js MANIFEST... > check.ts
import fs from 'node:fs';
import yaml from 'yaml';

const documents = process.argv.slice(2).flatMap((file) => yaml.parseAllDocuments(fs.readFileSync(file, 'utf8')));
documents.forEach((document, n) => {
    if (document.errors.length > 0) throw document.errors[0];
    const object = document.toJS();
    console.log(`import type { I${object.kind} as Type${n} } from 'kubernetes-models/${object.apiVersion}';`);
    console.log(`export const object${n}: Type${n} = ${JSON.stringify(object, null, 1)};`);
});
