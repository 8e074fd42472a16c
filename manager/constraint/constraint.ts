/**
 * Placement constraints: `key == value` and `key != value` on a node's facts, all of which must hold
 * (SWARM-BEHAVIOUR 3.5; grammar and error texts as swarmkit's manager/constraint). Pure.
 */

import ipaddr from 'ipaddr.js';
import type { Labels } from '../../proto/objects/meta.ts';
import type { NodeObject } from '../../proto/objects/node.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

export interface Constraint {
  /** As written; compared without regard to case, except for what follows a label prefix. */
  key: string;
  operator: '==' | '!=';
  /** Compared whole and without regard to case. */
  value: string;
}

const OPERATORS = ['==', '!='] as const;
const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;
const NODE_LABELS = 'node.labels.';
const ENGINE_LABELS = 'engine.labels.';

/**
 * Reads the expressions of `Placement.Constraints`, in order.
 * @throws WaggleError invalid-argument for the first one that is malformed, in swarmkit's words.
 */
export function parseConstraints(expressions: readonly string[]): Constraint[] {
  return expressions.map(parseConstraint);
}

/** True when the node satisfies every constraint. A key that nobody knows never matches, whatever its operator. */
export function matchesAll(constraints: readonly Constraint[], node: NodeObject): boolean {
  return constraints.every((constraint) => matches(constraint, node));
}

function parseConstraint(expression: string): Constraint {
  // `==` is looked for first, wherever it is, as swarmkit does: `a!=b==c` has the key `a!=b`, which is refused.
  const operator = OPERATORS.find((candidate) => expression.includes(candidate));
  if (operator === undefined) {
    throw new WaggleError('invalid-argument', `constraint expected one operator from ${OPERATORS.join(', ')}`);
  }
  const at = expression.indexOf(operator);
  const key = expression.slice(0, at).trim();
  const value = expression.slice(at + operator.length).trim();
  if (!KEY.test(key)) throw new WaggleError('invalid-argument', `key '${key}' is invalid`);
  if (!VALUE.test(value)) throw new WaggleError('invalid-argument', `value '${value}' is invalid`);
  return { key, operator, value };
}

function matches(constraint: Constraint, node: NodeObject): boolean {
  const key = constraint.key.toLowerCase();
  if (key === 'node.ip') return matchesAddress(constraint, node.Status.Addr ?? '');
  const fact = factOf(key, constraint.key, node);
  if (fact === undefined) return false;
  const equal = fact.toLowerCase() === constraint.value.toLowerCase();
  return equal === (constraint.operator === '==');
}

/** The node's value for a key, empty when the node does not say; undefined for an unknown key. */
function factOf(lowerKey: string, key: string, node: NodeObject): string | undefined {
  switch (lowerKey) {
    case 'node.id':
      return node.ID;
    case 'node.hostname':
      return node.Description?.Hostname ?? '';
    case 'node.role':
      // The role it has, not the one that it is on its way to.
      return node.CertificateRole;
    case 'node.platform.os':
      return node.Description?.Platform.OS ?? '';
    case 'node.platform.arch':
      return node.Description?.Platform.Architecture ?? '';
    default:
      return labelOf(lowerKey, key, node);
  }
}

function labelOf(lowerKey: string, key: string, node: NodeObject): string | undefined {
  for (const [prefix, labels] of [
    [NODE_LABELS, node.Spec.Labels],
    [ENGINE_LABELS, node.Description?.Engine.Labels],
  ] as const) {
    if (lowerKey.length > prefix.length && lowerKey.startsWith(prefix))
      return valueIn(labels, key.slice(prefix.length));
  }
  return undefined;
}

function valueIn(labels: Labels | null | undefined, name: string): string {
  // Own keys only: `toString` is no label.
  return labels !== null && labels !== undefined && Object.hasOwn(labels, name) ? (labels[name] ?? '') : '';
}

function matchesAddress(constraint: Constraint, address: string): boolean {
  const within = addressWithin(constraint.value, address);
  return within !== undefined && within === (constraint.operator === '==');
}

/** Undefined when `wanted` is neither an address nor a subnet: then nothing matches, not even `!=`. */
function addressWithin(wanted: string, address: string): boolean | undefined {
  const actual = isAddress(address) ? ipaddr.process(address) : undefined;
  if (isAddress(wanted)) return actual?.toString() === ipaddr.process(wanted).toString();
  if (!isAddress(wanted.slice(0, wanted.indexOf('/'))) || !ipaddr.isValidCIDR(wanted)) return undefined;
  const [network, prefixLength] = ipaddr.parseCIDR(wanted);
  return actual !== undefined && actual.kind() === network.kind() && actual.match(network, prefixLength);
}

/** The library also takes `1` and `0x7f.1` for addresses; nobody else does. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}
