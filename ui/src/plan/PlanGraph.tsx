/**
 * The plan as a graph, from left to right. The list beside it says the same and more, so nothing
 * here has to be reached with the keyboard. The only file that knows the graph library.
 */
import '@xyflow/react/dist/base.css';
import {
  Controls,
  type Edge,
  Handle,
  MarkerType,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  useStore,
} from '@xyflow/react';
import { type MouseEvent, memo, useEffect, useMemo } from 'react';
import { plural } from '../parts/format';
import { mergeWords } from '../parts/Marks';
import { Monogram, stageGlyphs, stageWords } from '../parts/Seat';
import { platform } from '../platform';
import { arrows, hasNote, NODE_WIDTH, place } from './layout';
import css from './PlanGraph.module.css';
import type { PlanRow } from './rows';
import { shortEffort } from './words';

type StepNode = Node<{ row: PlanRow }, 'step'>;

interface Props {
  rows: PlanRow[];
  /** A step was chosen, to be shown in the list. */
  onPick(id: number): void;
}

export default function PlanGraph({ rows, onPick }: Props) {
  const nodes = useMemo(() => nodesOf(rows), [rows]);
  const edges = useMemo(() => edgesOf(rows), [rows]);
  return (
    // Links leave the page by the platform's way, also that of the library's name.
    <section
      className={css.graph}
      aria-label="The plan as a graph"
      onClickCapture={openOutside}
      data-testid="plan-graph"
    >
      <ReactFlowProvider>
        <ReactFlow
          className={css.flow ?? ''}
          nodes={nodes}
          edges={edges}
          nodeTypes={nodeTypes}
          onNodeClick={(_, node) => onPick(Number(node.id))}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          zoomOnScroll={false}
          zoomOnDoubleClick={false}
          preventScrolling={false}
          minZoom={0.4}
          maxZoom={1.5}
        >
          <Controls
            orientation="horizontal"
            showInteractive={false}
            className={css.controls ?? ''}
          />
          <Fit shape={edges.map((edge) => edge.id).join()} count={nodes.length} />
        </ReactFlow>
      </ReactFlowProvider>
    </section>
  );
}

function openOutside(event: MouseEvent<HTMLElement>) {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (!link) return;
  event.preventDefault();
  platform.openLink(link.href);
}

const FIT = { padding: 0.04, maxZoom: 1, minZoom: 0.6 };

/** Shows the whole plan, again whenever it gets another shape or another room. */
function Fit({ shape, count }: { shape: string; count: number }) {
  const { fitView } = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  // biome-ignore lint/correctness/useExhaustiveDependencies: they are what it is fitted to
  useEffect(() => {
    if (width > 0 && height > 0) void fitView(FIT);
  }, [fitView, shape, count, width, height]);
  return null;
}

const handles = (height: number) => [
  { type: 'target' as const, position: Position.Left, x: 0, y: height / 2, width: 1, height: 1 },
  {
    type: 'source' as const,
    position: Position.Right,
    x: NODE_WIDTH,
    y: height / 2,
    width: 1,
    height: 1,
  },
];

const nodesOf = (rows: PlanRow[]): StepNode[] =>
  place(rows).map(({ row, x, y, height }) => ({
    id: String(row.id),
    type: 'step',
    position: { x, y },
    width: NODE_WIDTH,
    height,
    handles: handles(height),
    data: { row },
  }));

const edgesOf = (rows: PlanRow[]): Edge[] =>
  arrows(rows).map(({ from, to, mends }) => ({
    id: `${from}-${to}`,
    source: String(from),
    target: String(to),
    ...(mends ? { className: css.mends ?? '' } : {}),
    markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14, color: 'var(--nx-control)' },
  }));

const StepBox = memo(function StepBox({ data: { row } }: NodeProps<StepNode>) {
  const effort = shortEffort(row);
  return (
    <div className={css.step} data-role={row.role} data-state={row.state}>
      <Handle type="target" position={Position.Left} className={css.handle ?? ''} />
      <div className={css.top}>
        <span className={css.id}>{row.id}</span>
        <Monogram role={row.role} />
        {row.seat ? <span className={css.seat}>{row.seat}</span> : null}
        <span className={css.state}>
          <span aria-hidden>{stageGlyphs[row.state]}</span> {stageWords[row.state]}
        </span>
      </div>
      <div className={css.title} title={row.title}>
        {row.title || 'no title yet'}
      </div>
      {effort ? <div className={css.effort}>{effort}</div> : null}
      {hasNote(row) ? (
        <div className={css.note}>
          {[
            row.merge ? mergeWords[row.merge] : null,
            row.mends ? `mends step ${row.mends}` : null,
            row.flags > 0 ? `⚑ ${plural(row.flags, 'flag')}` : null,
          ]
            .filter(Boolean)
            .join(' · ')}
        </div>
      ) : null}
      <Handle type="source" position={Position.Right} className={css.handle ?? ''} />
    </div>
  );
});

const nodeTypes = { step: StepBox };
