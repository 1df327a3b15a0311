// Whether headcount.d.ts and headcount.js have the same names: what they export, the members of the classes, the
// options and the events. The argument is the folder of the package typescript.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const ts = createRequire(import.meta.url)(resolve(process.argv[2]));

function* walk(node) {
  yield node;
  const children = [];
  ts.forEachChild(node, child => void children.push(child));
  for (const child of children) yield* walk(child);
}

function parse(name) {
  const text = readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const nodes = [...walk(file)];
  return { nodes, classOf: name => nodes.find(it => ts.isClassDeclaration(it) && it.name.text === name) };
}

const module = parse('headcount.js');
const types = parse('headcount.d.ts');

const sorted = names => [...new Set(names)].sort();
const own = ({ name }) => name && !ts.isPrivateIdentifier(name) && !name.getText().startsWith('_');
const exported = ({ nodes }) => sorted(nodes
  .filter(it => it.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword))
  // What is of the types alone has no counterpart.
  .filter(it => !ts.isInterfaceDeclaration(it) && !ts.isTypeAliasDeclaration(it))
  .flatMap(it => (ts.isVariableStatement(it) ? [...it.declarationList.declarations] : [it]))
  .map(it => it.name.text));
const interfaceOf = name => types.nodes.find(it => ts.isInterfaceDeclaration(it) && it.name.text === name);
const members = it => it.members.filter(own).map(({ name }) => name.getText());

/** What the code of a class makes of itself: its members, and what it assigns to. */
function made(name) {
  const it = module.classOf(name);
  const assigned = [...walk(it)]
    .filter(node => ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken)
    .map(({ left }) => left)
    .filter(left => ts.isPropertyAccessExpression(left) && left.expression.kind === ts.SyntaxKind.ThisKeyword && own(left));
  return sorted([...members(it), ...assigned.map(left => left.name.text)]);
}

/** What the code reads of its options, by name or taken apart. */
function read() {
  const isOptions = node => ['options', 'this.#options'].includes(node?.getText());
  const accesses = module.nodes.filter(it => ts.isPropertyAccessExpression(it) && isOptions(it.expression));
  const patterns = module.nodes.filter(it => ts.isVariableDeclaration(it) && ts.isObjectBindingPattern(it.name) && isOptions(it.initializer));
  return sorted([
    ...accesses.map(({ name }) => name.text),
    ...patterns.flatMap(({ name }) => name.elements.map(it => (it.propertyName ?? it.name).text)),
  ]);
}

function emitted() {
  const calls = module.nodes.filter(it => ts.isCallExpression(it) && it.expression.getText() === 'this.#emit');
  return sorted(calls.flatMap(({ arguments: [name] }) => {
    const literals = ts.isConditionalExpression(name) ? [name.whenTrue, name.whenFalse] : [name];
    for (const it of literals) assert.ok(ts.isStringLiteral(it), `the name of an event is no literal: ${it.getText()}`);
    return literals.map(it => it.text);
  }));
}

const classes = exported(module);
assert.deepEqual(exported(types), classes, 'exports');
for (const name of classes) {
  assert.deepEqual(sorted(members(types.classOf(name))), made(name), `the members of ${name}`);
}
assert.deepEqual(sorted(members(interfaceOf('Options'))), read(), 'options');
assert.deepEqual(sorted(members(interfaceOf('Events'))), emitted(), 'events');
console.log(`${classes.join(', ')}; options ${read().join(', ')}; events ${emitted().join(', ')}`);
