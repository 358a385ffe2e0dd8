export default function DoctorPage() {
  return <p>Doctor</p>;
}
