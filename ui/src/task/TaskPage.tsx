export default function TaskPage(props: { name: string; tab?: string | undefined }) {
  return <p>{props.name}</p>;
}
