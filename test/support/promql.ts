import { parser } from '@prometheus-io/lezer-promql';

/** One series selector of an expression, `name{label="value"}`. */
export interface Selector {
  metric: string;
  matchers: { label: string; isNegative: boolean; values: string[] }[];
}

/**
 * What a PromQL expression reads.
 *
 * @returns selectors, and the labels that it groups by.
 * @throws where it is no PromQL.
 */
export function readPromql(expression: string): { selectors: Selector[]; groupedBy: string[] } {
  const selectors: Selector[] = [];
  const groupedBy: string[] = [];
  const text = ({ from, to }: { from: number; to: number }) => expression.slice(from, to);
  parser.parse(expression).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`No PromQL at ${node.from}: ${expression}`);
      if (node.name === 'GroupingLabels')
        groupedBy.push(...node.node.getChildren('LabelName').map((label) => text(label)));
      if (node.name !== 'VectorSelector') return;
      const name = node.node.getChild('Identifier');
      const matchers = node.node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      if (name == null) throw new Error(`A selector without a metric: ${text(node)}`);
      selectors.push({
        metric: text(name),
        matchers: matchers.map((matcher) => {
          const [label, operator, value] = ['LabelName', 'MatchOp', 'StringLiteral'].map((part) =>
            text(matcher.getChild(part)!),
          );
          const unquoted = value.slice(1, -1);
          return {
            label,
            isNegative: operator.startsWith('!'),
            values: operator.endsWith('~') ? unquoted.split('|') : [unquoted],
          };
        }),
      });
    },
  });
  return { selectors, groupedBy };
}
